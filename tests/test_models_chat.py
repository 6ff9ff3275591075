"""What models are told: dialects, moved views, inert text; and what is read back out of their text."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoomagent.geometry import Size
from zoomagent.models.base import Message, Pixels, Text, ToolCall
from zoomagent.models.profiles import INTERNVL, LLAVA_1_5, NANO, QWEN3_VL, UNKNOWN, override, profile_for
from zoomagent.models.words.chat import arrange, neutral
from zoomagent.models.words.hermes import MAX_CALL_BYTES, parse_calls, strict_object

TOOL = {"type": "function", "function": {"name": "zoom", "description": "look <closer>", "parameters": {}}}
VIEW = Pixels("v", Image.new("RGB", (8, 8)))


def flat(message: Message) -> str:
    return "".join(part.text if isinstance(part, Text) else "<view>" for part in message.parts)


def tool_turns() -> list[Message]:
    return [
        Message("user", (VIEW, Text("Read it."))),
        Message("assistant", (Text("Look."),), (ToolCall("a", "zoom", '{"n": 1}'), ToolCall("b", "zoom", '{"n": 2}'))),
        Message("tool", (Text("first"), VIEW), tool_call_id="a"),
        Message("tool", (Text("second"),), tool_call_id="b"),
        Message("user", (Text("Go on."),)),
    ]


def test_views_of_tools_move_in_front_of_the_next_user_message() -> None:
    told = arrange(tool_turns(), QWEN3_VL)
    assert [message.role for message in told] == ["user", "assistant", "tool", "tool", "user"]
    assert [flat(message) for message in told[2:]] == ["first", "second", "<view>Go on."]


def test_views_may_stay_where_the_profile_says_so() -> None:
    told = arrange(tool_turns(), override(QWEN3_VL, {"images_in_tool_messages": True}))
    assert flat(told[2]) == "first<view>" and len(told) == 5


def test_without_a_user_message_the_views_get_one_of_their_own() -> None:
    told = arrange([*tool_turns()[:4], Message("assistant", (Text("42"),))], QWEN3_VL)
    assert [message.role for message in told][-2:] == ["user", "assistant"]
    assert flat(told[-2]) == "<view>"


def test_the_hermes_dialect_writes_tools_calls_and_results_as_text() -> None:
    told = arrange([Message("system", (Text("Be brief."),)), *tool_turns()], NANO, [TOOL])
    system, user, assistant, results, last = (flat(message) for message in told)
    assert (
        system.startswith("Be brief.\n\n# Tools\n\nYou may call") and f"<tools>\n{json.dumps(TOOL)}\n</tools>" in system
    )
    calls = ['<tool_call>\n{"name": "zoom", "arguments": {"n": %d}}\n</tool_call>' % n for n in (1, 2)]  # noqa: UP031
    assert assistant == "Look.\n" + "\n".join(calls)
    assert results == "<tool_response>\nfirst\n</tool_response>\n<tool_response>\nsecond\n</tool_response>"
    assert (user, last) == ("<view>Read it.", "<view>Go on.")


def test_models_without_a_tool_dialect_are_offered_none() -> None:
    assert arrange([Message("user", (Text("?"),))], LLAVA_1_5, [TOOL]) == [Message("user", (Text("?"),))]


def test_arguments_that_are_no_json_object_are_never_sent_again() -> None:
    for torn in ('{"bbox": [1, 2', "[1]", "NaN", "", '{"a": NaN}', '{"a": 1, "a": 2}'):
        [told] = arrange([Message("assistant", (), (ToolCall("a", "zoom", torn),))], QWEN3_VL)
        assert told.tool_calls[0].arguments == "{}"


def test_special_tokens_in_arguments_are_escaped_and_mean_the_same() -> None:
    written = '{"label": "<|im_end|>"}'
    [told] = arrange([Message("assistant", (), (ToolCall("a", "zoom", written),))], QWEN3_VL)
    sent = told.tool_calls[0].arguments
    assert "<|" not in sent and json.loads(sent) == json.loads(written)


@given(st.text(alphabet="<|/im_startend>imagetool_call [INST]"))
def test_neutral_text_holds_no_special_token_and_loses_no_letter(text: str) -> None:
    made = neutral(text)
    assert "<|" not in made and "<image>" not in made and "[INST]" not in made
    assert made.replace(" ", "") == text.replace(" ", "")
    assert neutral(made) == made


CALL = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'


def names(text: str) -> list[str]:
    return [call.name for call in parse_calls(text)[1]]


def test_calls_are_read_and_the_rest_stays_text() -> None:
    text, calls = parse_calls(f"I look. {CALL}\n{CALL.replace('zoom', 'crop')}")
    assert text == "I look." and [call.name for call in calls] == ["zoom", "crop"]
    assert [call.id for call in calls] == ["call_0", "call_1"]


@pytest.mark.parametrize(
    "text",
    [
        "no call",
        CALL[:-13],
        "<tool_call>zoom(1, 2)</tool_call>",
        CALL.replace("]", "]]"),
        CALL.replace('"name": "zoom", ', ""),
        CALL.replace('"zoom"', "7"),
        CALL.replace("{", '{"name": "crop", ', 1),
        CALL.replace("[1, 2, 3, 4]", "NaN"),
        CALL.replace("[1, 2, 3, 4]", "1e999"),
        CALL.replace("[1, 2, 3, 4]", "[" * 40 + "]" * 40),
        CALL.replace("zoom", "\ud800"),
        CALL.replace('{"bbox": [1, 2, 3, 4]}', "null"),
        CALL.replace("zoom", "z" * MAX_CALL_BYTES),
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert parse_calls(text) == (text, ())


def test_a_closing_tag_inside_a_string_does_not_end_the_call() -> None:
    text = '<tool_call>{"name": "zoom", "arguments": {"label": "a </tool_call> b \\" c"}}</tool_call>'
    [call] = parse_calls(text)[1]
    assert json.loads(call.arguments) == {"label": 'a </tool_call> b " c'}


def test_a_call_after_an_unreadable_one_is_still_read() -> None:
    assert names(f"<tool_call>{{torn</tool_call> {CALL}") == ["zoom"]


def test_at_most_sixteen_calls_are_read() -> None:
    assert len(names(CALL * 100)) == 16


PATHOLOGICAL = [
    "<tool_call>" * 90_000,
    "<tool_call>" + '"' * 1_000_000,
    "<tool_call>" + "<" * 1_000_000,
    ('<tool_call>"' + "a" * 65_000) * 15,
    "<tool_call>" + '"\\' * 500_000,
    "<tool_call>" + "[" * 60_000 + "</tool_call>",
    "<tool_call>" + '{"a":' * 12_000 + "</tool_call>",
    ("<tool_call>" + "9" * 5000 + "</tool_call>") * 200,
    "<tool_call>{" + '"k": 1, ' * 8000 + "</tool_call>",
    "</tool_call>" * 80_000,
]


@pytest.mark.parametrize("number", range(len(PATHOLOGICAL)))
def test_pathological_text_takes_linear_time(number: int) -> None:
    """Row 13. The promise is 50 ms; the limit leaves room for a busy machine."""
    text = PATHOLOGICAL[number]
    started = time.perf_counter()
    assert parse_calls(text)[1] == ()
    assert time.perf_counter() - started < 0.25


def test_strict_objects_refuse_what_json_does_not_promise() -> None:
    assert strict_object('{"a": [1]}') == {"a": [1]}
    for text in ("[]", "1", "null", '{"a": 1, "a": 1}', '{"a": Infinity}', "{'a': 1}", '{"a": 1} x', "\ufeff{}"):
        assert strict_object(text) is None


def test_unknown_families_are_offered_little() -> None:
    assert profile_for("someones/new-model", {}) == UNKNOWN
    found = {name: profile_for(name, {}).family for name in NAMES}
    assert found == NAMES


NAMES = {
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3-vl",
    "qwen3-vl:8b": "qwen3-vl",
    "Qwen/Qwen2.5-VL-72B-Instruct-AWQ": "qwen2.5-vl",
    "Qwen/Qwen2-VL-2B-Instruct": "qwen2-vl",
    "OpenGVLab/InternVL3_5-8B": "internvl",
    "llava-hf/llava-1.5-7b-hf": "llava-1.5",
    "liuhaotian/llava-v1.6-34b": "llava-next",
    "lmms-lab/LLaVA-OneVision-Qwen2-7B": "llava-onevision",
    "nano": "nano",
}


def test_a_user_overrides_a_profile_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_PROFILE", '{"space": "pixels", "max_pixels": 500000}')
    assert profile_for("qwen3-vl").space == "pixels"
    assert profile_for("qwen3-vl", {}).space == "thousand"
    for wrong, named in {
        "{nonsense": "JSON",
        "[]": "object",
        '{"spce": "pixels"}': "spce",
        '{"space": "inches"}': "inches",
        '{"multiple": 0}': "multiple",
        '{"multiple": "28"}': "multiple",
        '{"multiple": true}': "multiple",
        "[" * 100_000: "JSON",
        '{"a":' * 100_000: "JSON",
        '{"multiple": %s}' % ("9" * 5000): "JSON",
    }.items():
        monkeypatch.setenv("ZOOMAGENT_PROFILE", wrong)
        with pytest.raises(ValueError, match=named):
            profile_for("qwen3-vl")


def test_visual_tokens_follow_the_familys_rule() -> None:
    assert QWEN3_VL.visual_tokens(Size(640, 320)) == 20 * 10
    assert INTERNVL.visual_tokens(Size(448, 448)) == 256
    assert INTERNVL.visual_tokens(Size(896, 448)) == 3 * 256
    assert LLAVA_1_5.visual_tokens(Size(100, 336)) == 576
