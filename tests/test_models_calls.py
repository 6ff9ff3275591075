"""A tool call is run in whatever spelling a model writes it, or told to the model; its text is never an answer."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.models.profiles import ToolDialect
from zoomagent.models.words.calls import find_calls

TOOL = "image_zoom_in_tool"
ARGUMENTS = '{"bbox_2d": [100, 100, 300, 300], "label": "47", "img_idx": 0}'
CALL = f'{{"name": "{TOOL}", "arguments": {ARGUMENTS}}}'
ASKED = CALL.replace("arguments", "parameters")
PARTS = [("bbox_2d", "[100, 100, 300, 300]"), ("label", "47"), ("img_idx", "0")]
QUOTED = "bbox_2d=[100, 100, 300, 300], label='47', img_idx=0"

SPELLINGS = {
    "hermes": f"<tool_call>\n{CALL}\n</tool_call>",
    "parameters for arguments": f"<tool_call>\n{ASKED}\n</tool_call>",
    "arguments as text": f"<tool_call>{json.dumps({'name': TOOL, 'arguments': ARGUMENTS})}</tool_call>",
    "no closing tag": f"<tool_call>\n{CALL}",
    "a brace too many": f"<tool_call>{CALL}}}</tool_call>",
    "a call as text": f"<tool_call>{json.dumps(CALL)}</tool_call>",
    "as the API has it": json.dumps({"tool_calls": [{"function": {"name": TOOL, "arguments": ARGUMENTS}}]}),
    "qwen3.5": "<tool_call>\n<function={}>\n{}\n</function>\n</tool_call>".format(
        TOOL, "\n".join(f"<parameter={key}>\n{value}\n</parameter>" for key, value in PARTS)
    ),
    "qwen3.5 without tags": "<function={}>{}</function>".format(
        TOOL, "".join(f"<parameter={key}>{value}</parameter>" for key, value in PARTS)
    ),
    "glm": "<tool_call>{}\n{}\n</tool_call>".format(
        TOOL, "\n".join(f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>" for key, value in PARTS)
    ),
    "invoke": '<function_calls>\n<invoke name="{}">\n{}\n</invoke>\n</function_calls>'.format(
        TOOL, "\n".join(f'<parameter name="{key}">{value}</parameter>' for key, value in PARTS)
    ),
    "mistral": f"[TOOL_CALLS][{CALL}]",
    "mistral 11": f"[TOOL_CALLS]{TOOL}[ARGS]{ARGUMENTS}",
    "mistral 12": f"[TOOL_CALLS]{TOOL}[CALL_ID]abc123def[ARGS]{ARGUMENTS}",
    "mistral 13": f"[TOOL_CALLS]{TOOL}{ARGUMENTS}",
    "llama 3": ASKED,
    "llama 3.1": f"<function={TOOL}>{ARGUMENTS}</function>",
    "llama 3.2": f"<|python_tag|>{ASKED}",
    "llama 4": f'[{TOOL}(bbox_2d=[100, 100, 300, 300], label="47", img_idx=0)]',
    "gemma 3": f"```tool_code\n{TOOL}({QUOTED})\n```",
    "gemma 3 printed": f"```tool_code\nprint(default_api.{TOOL}({QUOTED}))\n```",
    "gemma 3 in JSON": f"```json\n{ASKED}\n```",
    "gemma's functions": f"<start_function_call>call:{TOOL}{{bbox_2d:[100, 100, 300, 300],label:<escape>47<escape>,"
    "img_idx:0}<end_function_call>",
    "kimi": f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{TOOL}:0<|tool_call_argument_begin|>{ARGUMENTS}"
    "<|tool_call_end|><|tool_calls_section_end|>",
    "deepseek": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{TOOL}\n```json\n{ARGUMENTS}\n```"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek 3.1": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{TOOL}<｜tool▁sep｜>{ARGUMENTS}<｜tool▁call▁end｜>",
    "gpt-oss": f"<|channel|>commentary to=functions.{TOOL} <|constrain|>json<|message|>{ARGUMENTS}",
    "phi": f"<|tool_call|>[{CALL}]<|/tool_call|>",
    "internlm": f"<|action_start|><|plugin|>\n{ASKED}<|action_end|>",
    "cohere": f'<|START_ACTION|>[{{"tool_call_id": "0", "tool_name": "{TOOL}", "parameters": {ARGUMENTS}}}]'
    "<|END_ACTION|>",
}
UNREADABLE = [
    "<tool_call>hoho",
    "</tool_call>BBBB",
    f'<tool_call>{{"name": "{TOOL}", "arguments": {{"bbox_2d": [100, 100',
    f"<function={TOOL}><parameter=bbox_2d>[1, 2,",
    f"{TOOL}(bbox_2d=[1, 2",
    f"{{'name': '{TOOL}', 'arguments': {{}}}}",
    f"[TOOL_CALLS]{TOOL}",
]


def agent(turns: Sequence[str], dialect: ToolDialect = "openai", **profile: object) -> tuple[ZoomAgent, FakeModel]:
    """The policy `tools` with a model that says Exit about the whole, then its turns, then its last turn for ever."""

    def respond(call: Call) -> str:
        if not call.options.get("tools"):
            return "Exit"
        return turns[min(sum(message.role == "assistant" for message in call.messages), len(turns) - 1)]

    model = FakeModel(profile=replace(FAKE_PROFILE, tool_dialect=dialect, **profile), respond=respond)  # type: ignore[arg-type]
    return ZoomAgent(model, strategy="tools", proof=False, rule="micro"), model


PICTURE = Image.effect_noise((800, 600), 60).convert("RGB")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("before", ["", "I look closer.\n", "<think>Call <tool_call>?</think>"])
def test_a_call_is_read_in_any_spelling(spelling: str, before: str) -> None:
    from zoomagent.models.words.unwrapping import dialogue_turn

    said, [call] = find_calls(dialogue_turn(before + SPELLINGS[spelling]))
    assert (call.name, json.loads(call.arguments)) == (TOOL, json.loads(ARGUMENTS))
    assert said == ("I look closer." if "I look" in before else "")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_call_in_any_spelling_is_run(spelling: str) -> None:
    asking, _ = agent([SPELLINGS[spelling], "Exit 12"])
    answer = asking.ask(PICTURE, "What is written there?")
    assert (answer.text, answer.outcome.kind, len(answer.boxes)) == ("Exit 12", "answered", 1)


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_call_that_can_not_be_read_is_told_to_the_model_once(text: str) -> None:
    assert find_calls(text) == (text, ())
    asking, model = agent([text, "Exit 12"])
    answer = asking.ask(PICTURE, "What is written there?")
    assert (answer.text, answer.outcome.kind) == ("Exit 12", "answered")
    assert "could not be read" in model.history[-1].text


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_model_that_writes_nothing_else_is_stopped_and_the_whole_answers(text: str) -> None:
    asking, model = agent([text])
    answer = asking.ask(PICTURE, "What is written there?")
    assert (answer.text, answer.outcome.kind) == ("Exit", "answered_degraded")
    assert "cannot be read" in answer.outcome.reasons[0] and len(model.history) == 3


@pytest.mark.parametrize("strategy", ["macro", "dualfocus", "dualfocus-published"])
@pytest.mark.parametrize("text", [*UNREADABLE[:3], SPELLINGS["qwen3.5"], SPELLINGS["mistral"]])
def test_the_text_of_a_call_is_never_an_answer(strategy: str, text: str) -> None:
    model = FakeModel(respond=lambda call: text)
    answer = ZoomAgent(model, strategy=strategy).ask(PICTURE, "What is written there?")  # type: ignore[arg-type]
    assert (answer.text, answer.outcome.kind, answer.outcome.code) == ("", "failed", "no_answer")


@pytest.mark.parametrize("text", ["red", "f(x) is 3", '{"name": "Bob"}', '{"a": 1, "a": 2}', "[1, 2, 3, 4]", ""])
def test_other_text_holds_no_call(text: str) -> None:
    assert find_calls(text) == (text, ())


UNITS = [
    "<function=a>",
    "<tool_call>",
    "[TOOL_CALLS]a{",
    "<|tool_call_begin|>a:0{",
    f"{TOOL}(",
    f"{TOOL}(a=1,",
    "[",
    "(",
]
UNITS += ['{"name":"a",', '<invoke name="a">', "<start_function_call>call:a{", "<tool_call>a<arg_key>", "to=a {}"]


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_is_slow(unit: str) -> None:
    text = (unit * (64_000 // len(unit) + 1))[:64_000]
    start = time.process_time()
    assert find_calls(text)[1] == () or unit == "to=a {}"
    assert time.process_time() - start < 1


def test_the_picture_that_would_be_too_many_is_refused_in_words() -> None:
    def zoom(n: int) -> str:
        return f'{{"bbox_2d": [{n * 110}, {n * 90}, {n * 110 + 100}, {n * 90 + 100}], "label": "it", "img_idx": 0}}'

    turns = [f'<tool_call>{{"name": "{TOOL}", "arguments": {zoom(n)}}}</tool_call>' for n in range(5)]
    asking, model = agent([*turns, "Exit 12"], max_images=4)
    answer = asking.ask(PICTURE, "What is written there?")
    assert (answer.text, answer.outcome.kind) == ("Exit 12", "answered")
    assert max(len(call.views) for call in model.history) == 4 and "No more than 4" in model.history[-1].text


@pytest.mark.parametrize(("most", "shown"), [(8, 5), (5, 5), (4, 4), (3, 3), (2, 2)])
def test_as_many_crops_are_shown_as_the_model_takes(most: int, shown: int) -> None:
    from zoomagent import prompts

    def respond(call: Call) -> str:
        if prompts.GROUND in call.text:
            at = ["sign", "car", "dog"].index(call.text.split(prompts.GROUND)[1].split("\n")[0])
            return f"[{300 * at}, 100, {300 * at + 200}, 300]"
        if call.text.startswith(prompts.CUES):
            return "Exit 12" if len(call.views) > 1 else "sign, car, dog"
        return "Exit 12" if len(call.views) > 1 else "Cannot tell"

    model = FakeModel(profile=replace(FAKE_PROFILE, max_images=most), respond=respond, respond_score=lambda call: None)
    answer = ZoomAgent(model, strategy="locate", rule="micro").ask(PICTURE, "What is written there?")
    assert (answer.text, answer.outcome.kind) == ("Exit 12", "answered")
    assert max(len(call.views) for call in model.history) == shown
