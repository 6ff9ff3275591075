"""Replies, refusals, boxes and calls as people reported them in public trackers (named beside each), and what they come
to. Kept apart from the tables of the readers' own tests: these are words of others."""

import json

import pytest

from zoomagent.confidence.replies import read
from zoomagent.models.server.server_errors import refused_parameters
from zoomagent.models.words.calls import find_calls
from zoomagent.models.words.parsing import parse_boxes

COLOURS = ("red", "blue", "green", "yellow")
REPLIES = [
    (
        "The correct answer is B. Here's why: the sign is painted. Option B is correct because ...",
        "blue",
    ),  # VLMEvalKit 1552
    ("The correct answer is **B**", "blue"),  # VLMEvalKit 1552
    ("Based on the image, the answer is (B) blue.", "blue"),  # lmms-eval 1434
    ("It does.", None),  # ai-twinkle/Eval 134
    ("Đáp án đúng là B.", "blue"),  # VMLU 1
    ("Câu trả lời là: B", "blue"),  # VMLU 1
    ("B. blue\n\nExplanation: the red car is further away.", "blue"),  # MMMU 66
    ("ANSWER: B", "blue"),  # lighteval 734
    ("Answer: \\boxed{\\textbf{B}}", "blue"),  # OPD-V 2
    ("<think>\nThe sign could be red (A) or blue (B).\n</think>\n\n<answer> B </answer>", "blue"),  # R1-V 73
    ("Let's think step by step. The sign is blue.\nTherefore, the answer is B", "blue"),  # VLMEvalKit 385
    ("I think it's either A or B, but I am not sure.", None),  # paper-qa 709
    ("None of the above", None),  # OmniBench 8
    ("Yes", None),  # VLMEvalKit 73
    ("选项：B", "blue"),  # ai-twinkle/Eval 156
    ("答案為（B）", "blue"),  # ai-twinkle/Eval 156
    ("本题选B。", "blue"),  # ai-twinkle/Eval 156
    ("The answer is B. Note that A is a common distractor.", "blue"),  # omlx 3668
    ("ANSWER IS D. A is incorrect.", "yellow"),  # omlx 3668
    ("The answer is C because I computed the integral.", "green"),  # omlx 3668
    ("Answer: **D**", "yellow"),  # OPD-V 2
    ("The correct answer is d.", "yellow"),  # OPD-V 2
    ("Answer: A\nAfter checking the reasoning, I need to correct this.\nAnswer: B", "blue"),  # frontier-evals 125
    ("Answer: A\nWait, the sign is not red. Answer: B", "blue"),
    ("Answer: A\nAnswer: B", None),  # two answers, and nothing taken back
    ("\\boxed{\\langle H\\rangle \\ll \\Delta E}\n\n**Answer: D**", "yellow"),  # NeMo-Skills 1526
    ("So \\boxed{2x} and hence the answer is \\boxed{B}", "blue"),  # NeMo-Skills 1526
    ("Therefore, the answer is <|begin_of_box|>B<|end_of_box|><|user|>", "blue"),  # GLM-V 156
    ("정답은 B입니다.", "blue"),  # NeMo-Skills 1375
    ("답: (B)", "blue"),  # NeMo-Skills 1375
    ("答えはBです。", "blue"),  # NeMo-Skills 1281
    ("الإجابة الصحيحة هي (B)", "blue"),  # NeMo-Skills 1281
    ("উত্তরঃ B", "blue"),  # NeMo-Skills 1281
    ("उत्तर: B", "blue"),  # NeMo-Skills 1281
    ("Resposta: B", "blue"),  # simple-evals 41
    ("Jibu: B", "blue"),  # simple-evals 41
    ("Ìdáhùn: B", "blue"),  # simple-evals 41
    ("Jawaban: B", "blue"),  # simple-evals 41
    ("The single letter answer, based on the popular reference, is:\n\nE", None),  # paper-qa 693
    ('Since none of the options directly match "14004", consider another way to interpret it.', None),  # paper-qa 693
    ('{"answer": "B"}', "blue"),  # Olive 2508
    ("2", None),  # Olive 2508: a number names no letter
    ("\\boxed{\\text{B}}", "blue"),  # NeMo-Gym 1790
    ("\\boxed{B: blue, as painted}", "blue"),  # NeMo-Gym 1844
    ("\\boxed{\\text{Answer: B}}", "blue"),  # NeMo-Gym 1945
    ("I first thought \\boxed{C}, but it is \\boxed{B}", None),  # NeMo-Gym 1844 takes the last; here two are named
    ("ANSWER: $B$", "blue"),  # inspect_ai 5055
    ("Answer: A/B", None),  # NeMo-Gym 1945
    ("**Answer: B/D**", None),  # NeMo-Gym 1945
    ("Answer: B/B", "blue"),  # NeMo-Gym 1945
    ("Answer: B because C is not valid", "blue"),  # NeMo-Gym 1945
    ("Answer: unknown", None),  # NeMo-Gym 1945
    ("Antwort:\n\nAntwort: C", "green"),  # simple-evals 33
    ("The calculated answer is 11.\n\nAnswer seems to be A.\n\nAnswer: A\n", "red"),  # openbench 348
    ("The answer is B because a car moves.", "blue"),  # lm-evaluation-harness 4188
    ("I would pick B — a safe choice.", "blue"),  # lm-evaluation-harness 4188
    ("b. 4", "blue"),  # lm-evaluation-harness 4188
    ("La bonne réponse est B.", "blue"),
    ("De juiste antwoord is B", "blue"),
    ("A resposta correta é a letra B.", "blue"),
    ("La risposta corretta è B.", "blue"),
    ("Prawidłowa odpowiedź to B.", "blue"),
    ("Oikea vastaus on B.", "blue"),
    ("பதில்: B", "blue"),
    ("సమాధానం: B", "blue"),
    ("Cavab: B", "blue"),
    ("Final Answer: The final answer is $\\boxed{B}$. I hope it is correct.", "blue"),  # lm-evaluation-harness, MATH
]


@pytest.mark.parametrize(("reply", "wanted"), REPLIES)
def test_reported_replies_name_what_they_name(reply: str, wanted: str | None) -> None:
    answer = read(reply, COLOURS)
    assert (answer.text if answer.valid else None) == wanted


INNER = (
    '{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` is deprecated for this model."}}'
)
PROVIDER = json.dumps({"error": {"message": "Unsupported value: 'temperature' does not support 0.1 with this model."}})
REFUSALS = [
    ({"error": {"message": "Unsupported parameter: 'temperature' is not supported with this model."}}, {"temperature"}),
    ({"detail": "Unsupported parameter: temperature"}, {"temperature"}),  # lobehub 17831
    (
        {"error": {"message": f"{INNER}. Received Model Group=x", "param": "None", "code": "400"}},
        {"temperature"},
    ),  # litellm
    ({"error": {"cause": PROVIDER, "code": 400, "message": "模型服务调用失败"}}, {"temperature"}),  # llm_wiki 670
    ({"error": {"message": "Provider returned error", "metadata": {"raw": PROVIDER}}}, {"temperature"}),  # OpenRouter
    ({"error": {"message": "you are not allowed to use logprobs: not available", "param": "logprobs"}}, {"logprobs"}),
    (
        {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'logprobs')}]"},
        {"logprobs"},
    ),  # vLLM
    ({"detail": [{"loc": ["body", "messages"], "msg": "field required", "input": {"temperature": 0}}]}, set()),
    (
        {"error": {"message": "OpenAIException - Unsupported parameter: 'logprobs' is not supported with this model."}},
        {"logprobs"},
    ),  # Techies 42
    (
        {"code": 400, "param": "top_logprobs", "message": "'top_logprobs' is not supported (request id: 2025050875)"},
        {"top_logprobs"},
    ),  # lobehub 7747
    ({"message": "Unsupported parameter: 'top_p' is not supported.", "param": "top_p"}, set()),  # DevoxxGenie: not ours
    (
        {
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "body -> logprobs\n  Extra inputs are not permitted (type=extra_forbidden)\nbody -> n\n  Extra",
        },
        {"logprobs", "n"},
    ),  # garak 748
    ({"error": {"message": "Unrecognized request argument supplied: logprobs"}}, {"logprobs"}),
    ({"error": {"message": 'json: unknown field "temperature"'}}, {"temperature"}),
    (
        {"error": {"message": "<400> InternalError.Algo.InvalidParameter: The tool call is not supported."}},
        {"tools"},
    ),  # claude-code-companion 15
    ({"error": {"message": "The model `x` does not exist"}}, set()),
    ({"error": {"message": "Image must be smaller than 20 MB"}}, set()),
]


@pytest.mark.parametrize(("body", "names"), REFUSALS)
def test_reported_refusals_name_what_they_refuse(body: object, names: set[str]) -> None:
    assert refused_parameters(body) == names


BOXES = [
    ("<|ref|>head<|/ref|><|det|>[[245, 234, 543, 942]]<|/det|>", [[245, 234, 543, 942]]),  # DeepSeek-VL2 96
    ("[533, 132, 457]", []),  # DeepSeek-VL2 96
    ("[245,[234,543,542,244]]", [[234, 543, 542, 244]]),  # DeepSeek-VL2 96: reversed, so geometry refuses it
    ("<ref>cup</ref><box>[[12, 30, 400, 500]]</box>", [[12, 30, 400, 500]]),  # InternVL 606
    ('[{"bbox_3d": [1, 2, 3, 4, 5, 6, 7, 8, 9], "label": "car"}]', []),  # transformers 44393
    ("[0.235, 0.186, 0.679, 0.778]", [[0.235, 0.186, 0.679, 0.778]]),  # Visual-CoT 20
    ("The coordinates of the second bottle are [[97,595,179,988]].", [[97, 595, 179, 988]]),  # GLM-4.5V
    # agent-vision-toolkit 25: torn JSON. A reply that was cut off is refused by its callers; here the order decides.
    ('```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "label": "a"},\n\t{"bbox_2d": [5, 6', [[1, 2, 3, 4]]),
    ('```json\n[\n\t{"box_2d": [1, 2, 3, 4], "label": "a"},\n\t{"box_2d": [5, 6', []),
    ('{"bbox_2d": [0.280, 0.500, 0.520, 0.700]}', [[0.28, 0.5, 0.52, 0.7]]),  # Kimi-VL 56
    ("The coordinates of the region this sentence describes are [1, 2, 3, 4].", [[1, 2, 3, 4]]),  # InternVL 625
    ("The coordinates of the region this sentence describes are [x1, y1, x2, y2].", []),  # InternVL 625
    ('```json\n[{"bbox_2d": [1012, 20, 1100, 90], "label": "x"}]\n```', [[1012, 20, 1100, 90]]),  # Qwen3.8 4: geometry
    ("Sword 14.72 7.68 669.44 767.360256", []),  # OIDv4 33: no brackets, no box
    ('<answer>{"bbox": [10, 20, 30, 40]}</answer>', [[10, 20, 30, 40]]),  # VLM-R1 124
    ('{"x_min": 10, "y_min": 20, "x_max": 30, "y_max": 40}', [[10, 20, 30, 40]]),
    ('{"x": 10, "y": 20, "width": 30, "height": 40}', [[10, 20, 40, 60]]),  # VideoEspresso 15: x, y, w, h by name
    ("<loc0100><loc0200><loc0300><loc0400> cat", []),  # y first in 1,024 steps: no profile, so no box
    ("click(start_box='<|box_start|>(120,240)<|box_end|>')", []),  # UI-TARS 125: a point
]


@pytest.mark.parametrize(("text", "boxes"), BOXES)
def test_reported_boxes_are_boxes_or_none(text: str, boxes: list[list[float]]) -> None:
    assert parse_boxes(text) == boxes


CALLS = [
    '<|python_start|>{"name": "zoom", "parameters": {"x": 1}}<|python_end|>',  # vLLM 16214
    '{"type": "function", "name": "zoom", "parameters": {"x": 1}}',  # vLLM 46863
    "<tool_call>\n<function=zoom>\n<parameter=x>\n1\n\n\n</tool_call>",  # vLLM 21571
    'To see it: <tool_call>{"name": "zoom", "arguments": "{\\"x\\": 1}"}</tool_call>',  # openhuman 6344
    '[{"name": "zoom", "arguments": {"x": 1}}]',  # vLLM 28219
    'TOOL_CALL_BLOCK>>>{"name": "zoom", "arguments": {"x": 1}}<<<END_TOOL_CALL_BLOCK>>>',  # GLM-Free-API 44
    '<tool_call>\n```json\n{"name": "zoom", "arguments": {"x": 1}}\n```\n</tool_call>',  # oh-my-pi 8810
    '<function=zoom>{"x": 1}</function>',  # hermes-agent 35129
    '<|tool_call_begin|>functions.zoom:0<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|>',  # hermes-agent 35129
    '<|tool_call_begin|>functions.zoom<|tool_call_argument_begin|>{"x":1}',  # unsloth 5624
    '<minimax:tool_call>\n<invoke name="zoom">\n<parameter name="x">1</parameter>\n</invoke>\n</minimax:tool_call>',
    "<|python_start|>[zoom(x=1)]<|python_end|>",  # vLLM 22917
    'Thought: it is small.\nAction: zoom\nAction Input: {"x": 1}',  # ReAct
]


@pytest.mark.parametrize("text", CALLS)
def test_reported_calls_are_calls(text: str) -> None:
    [call] = find_calls(text)[1]
    assert call.name == "zoom" and json.loads(call.arguments) == {"x": 1}
    assert not read(text).valid


def test_the_torn_end_of_a_call_is_no_answer() -> None:
    """q27 24: the call's beginning is lost, so it cannot be run; it is refused to the model."""
    text = "<name>zoom\n</parameter>\n<parameter=x>\n1\n</parameter>\n</function>"
    assert find_calls(text)[1] == () and not read(text).valid


def test_a_reported_call_without_its_last_brace_is_told_and_is_no_answer() -> None:
    text = '{"type": "function", "function": {"name": "get_current_traffic", "parameters": {"location": "Sydney"}}'
    assert find_calls(text) == (text, ()) and not read(text).valid  # vLLM 11786
