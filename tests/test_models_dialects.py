"""Tool calls as other models write them: every spelling is read or refused, no text is slow, cut calls never run."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.errors import SettingInvalid
from zoomagent.models.base import ToolCall
from zoomagent.models.profiles import QWEN3_VL, override
from zoomagent.models.words.dialects import MAX_CALLS, ZOOM_IN, mini_o3_calls, mini_o3_text, p2r_calls, p2r_text
from zoomagent.models.words.strict_json import MAX_DEPTH, MAX_TEXT, strict_json, strict_object
from zoomagent.tools import definitions

MINI = '<grounding>{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "observation_2"}</grounding>'
P2R = '[{"bbox_2d": [100, 200, 300, 400], "label": "sign"}]'
Reader = Callable[[str], tuple[ToolCall, ...] | None]


def read(calls: tuple[ToolCall, ...] | None) -> list[tuple[list[float], str, int]]:
    found = [json.loads(call.arguments) for call in calls or ()]
    assert all(set(one) == {"bbox_2d", "label", "img_idx"} for one in found)
    return [(one["bbox_2d"], one["label"], one["img_idx"]) for one in found]


# Mini-o3


@pytest.mark.parametrize(
    "text",
    [
        MINI,
        f"I look closer.\n{MINI} and then I see.",
        MINI.replace("{", "\n```json\n{").replace("}", "}\n```\n"),
        MINI.replace("{", "\ufeff{"),
        f"<grounding> is how I zoom: {MINI}",
        f"{MINI[:30]}{MINI}",
    ],
)
def test_a_grounding_is_read_wherever_it_stands(text: str) -> None:
    assert read(mini_o3_calls(text)) == [([0.1, 0.2, 0.3, 0.4], "", 2)]


def test_the_original_image_is_the_first_and_observations_count_from_one() -> None:
    whole = MINI.replace("observation_2", "original_image")
    assert [found[2] for found in read(mini_o3_calls(whole + MINI))] == [0, 2]
    assert [call.id for call in mini_o3_calls(whole + MINI, first_id=3)] == ["call_3", "call_4"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The sign says 42.",
        MINI.removesuffix("</grounding>"),
        MINI.replace("observation_2", "observation_0"),
        MINI.replace("observation_2", "observation_-1"),
        MINI.replace("observation_2", "observation_99999"),
        MINI.replace("observation_2", "/etc/passwd"),
        MINI.replace('"observation_2"', "2"),
        MINI.replace('"source"', '"bbox_2d": [0, 0, 1, 1], "source"'),
        MINI.replace('"source"', '"path": "x", "source"'),
        MINI.replace("0.4]", "0.4, 0.5]"),
        MINI.replace("0.4]", "true]"),
        MINI.replace("0.4]", "NaN]"),
        MINI.replace("0.4]", "1e999]"),
        MINI.replace("0.4]", "__import__('os')]"),
        MINI.replace("observation_2", "observation_\ud800"),
        MINI.replace("observation_2", "observation_2</grounding>"),
    ],
)
def test_what_is_no_grounding_is_no_call(text: str) -> None:
    assert mini_o3_calls(text) == ()


# P2R


@pytest.mark.parametrize(
    "text",
    [
        P2R,
        f"```json\n{P2R}\n```",
        f"```\n{P2R}\n```",
        f'The "key" evidence, in {{braces}}:\n{P2R}\nThat is all [really].',
        f"\ufeff{P2R}",
        f"{P2R} {P2R}",
        f'{{"note": "none"}} {P2R}',
    ],
)
def test_a_list_of_boxes_is_read_wherever_it_stands(text: str) -> None:
    assert read(p2r_calls(text)) == [([100, 200, 300, 400], "sign", 0)]


def test_an_empty_list_asks_for_the_whole_picture_and_no_list_for_a_repair() -> None:
    assert p2r_calls("```json\n[]\n```") == ()
    assert p2r_calls("The whole picture.") is None


def test_brackets_inside_a_label_end_nothing() -> None:
    assert read(p2r_calls(P2R.replace("sign", "a ] } sign"))) == [([100, 200, 300, 400], "a ] } sign", 0)]


@pytest.mark.parametrize(
    "text",
    [
        P2R.removesuffix("]"),
        P2R.replace('"label"', '"bbox_2d": [1, 2, 3, 4], "label"'),
        P2R.replace('"label"', '"url": "http://x", "label"'),
        P2R.replace(', "label": "sign"', ""),
        P2R.replace('"sign"', "null"),
        P2R.replace("400]", "null]"),
        P2R.replace("300, 400]", "300]"),
        P2R.replace("400]", '"400"]'),
        "[100, 200, 300, 400]",
        P2R[1:-1],
        f"{P2R[:-1]}, 5]",
    ],
)
def test_a_list_of_another_shape_is_refused_as_a_whole(text: str) -> None:
    assert p2r_calls(text) is None


def test_more_boxes_than_can_be_meant_are_cut() -> None:
    many = json.dumps(json.loads(P2R) * 100)
    assert len(p2r_calls(many) or ()) == MAX_CALLS == len(mini_o3_calls(MINI * 100))


# Both


BOX = st.lists(st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6), min_size=4, max_size=4)


@given(box=BOX, index=st.integers(0, 9999))
def test_mini_o3_reads_what_it_writes(box: list[float], index: int) -> None:
    call = ToolCall("call_0", ZOOM_IN, json.dumps({"bbox_2d": box, "label": "", "img_idx": index}))
    [again] = mini_o3_calls(mini_o3_text(call))
    assert json.loads(again.arguments) == json.loads(call.arguments) and (again.id, again.name) == ("call_0", ZOOM_IN)


@given(boxes=st.lists(BOX, max_size=4), label=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_p2r_reads_what_it_writes(boxes: list[list[float]], label: str) -> None:
    calls = [
        ToolCall(f"call_{i}", ZOOM_IN, json.dumps({"bbox_2d": box, "label": label, "img_idx": 0}))
        for i, box in enumerate(boxes)
    ]
    again = p2r_calls(f"Here:\n{p2r_text(calls)}")
    assert again is not None
    assert [json.loads(call.arguments) for call in again] == [json.loads(call.arguments) for call in calls]


@pytest.mark.parametrize("cut", range(1, len(MINI)))
def test_a_grounding_cut_anywhere_is_never_a_call(cut: int) -> None:
    assert mini_o3_calls(MINI[:cut]) == ()


@pytest.mark.parametrize("cut", range(1, len(P2R)))
def test_a_list_cut_anywhere_is_never_a_call(cut: int) -> None:
    assert not p2r_calls(P2R[:cut])


@given(text=st.text(alphabet='<>/grounding[]{}":,0.1bx_2d`\\ ', max_size=200))
def test_any_text_is_read_or_left(text: str) -> None:
    for calls in (mini_o3_calls(text), p2r_calls(text)):
        assert calls is None or isinstance(calls, tuple)


@pytest.mark.parametrize("reader", [mini_o3_calls, p2r_calls])
@pytest.mark.parametrize(
    "unit",
    ["[", "{", '{"a":', "[]]", "{}", '"', '\\"', "```", "`", "<grounding>", '<grounding>"', "</grounding>", "<", "9"]
    + [MINI[:-3], P2R[:-1] + "x", "<grounding>{", "```json\n[{"],
)
def test_pathological_text_is_read_in_no_time(reader: Reader, unit: str) -> None:
    for opened in ("", "<grounding>", "["):
        text = (opened + unit * (MAX_TEXT // len(unit)))[:MAX_TEXT]
        start = time.process_time()
        reader(text)
        assert time.process_time() - start < 0.5


def test_strings_without_an_end_are_read_in_time_that_grows_with_the_text() -> None:
    """Every second quote is escaped, so that strings hold all tags but the first, up to the end of the text."""

    def seconds(length: int) -> float:
        text = ('<grounding>"\\"' * length)[:length]
        began = time.thread_time()
        assert mini_o3_calls(text) == ()
        return time.thread_time() - began

    shorter = min(seconds(MAX_TEXT // 8) for _ in range(5))
    # Eight times the text: linear is 8 times the time, quadratic 64.
    assert min(seconds(MAX_TEXT) for _ in range(3)) < 24 * max(shorter, 0.0005)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '"' * 1_000_000, "1" * 5_000, MINI * 20_000])
def test_nesting_long_numbers_and_long_texts_are_refused_at_once(text: str) -> None:
    start = time.process_time()
    assert strict_json(text) is None and not p2r_calls(text) and not mini_o3_calls(text)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 990, 1023, 5000])
def test_depth_never_exhausts_the_stack(depth: int) -> None:
    assert strict_object('{"a":' * depth + "1" + "}" * depth) is None
    assert strict_object('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH) is not None


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '{"a": {"b": 1, "b": 2}}', "{} {}", "\ufeff{}", '{"a": "\ud800"}']
)
def test_what_can_be_read_in_two_ways_is_not_read(text: str) -> None:
    assert strict_object(text) is None


# Which tools a profile offers


def test_the_zoom_tool_has_one_name() -> None:
    assert definitions.ZOOM_IN == ZOOM_IN


def test_a_profile_offers_everything_but_reading_and_tagging() -> None:
    known = [definitions.ZOOM_IN, definitions.ZOOM_OUT, definitions.SEARCH, definitions.VERIFY, definitions.GROUND]
    assert QWEN3_VL.tools == tuple(known)


def test_a_checkpoint_may_offer_fewer_tools() -> None:
    profile = override(QWEN3_VL, json.loads('{"tools": ["image_zoom_in_tool", "image_search_tool"]}'))
    assert profile.tools == (definitions.ZOOM_IN, definitions.SEARCH)
    assert override(QWEN3_VL, {"tools": []}).tools == () and hash(profile)


@pytest.mark.parametrize("tools", ["image_zoom_in_tool", [1], [["image_zoom_in_tool"]], {"a": 1}, None])
def test_tools_that_are_no_list_of_names_are_refused(tools: object) -> None:
    with pytest.raises(SettingInvalid, match="tools"):
        override(QWEN3_VL, {"tools": tools})
