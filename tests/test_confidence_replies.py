"""Replies as models of every family and language write them: one option is read, two are never guessed from."""

import time

import pytest

from zoomagent.confidence.replies import CANNOT_TELL, ReadAnswer, abstains, read, read_published, same_answer
from zoomagent.confidence.words import words
from zoomagent.graphs.locating import named
from zoomagent.models.words.unwrapping import ends_in_thought, is_call, listed, unwrapped, without_thoughts

COLOURS = ["red", "blue", "green"]

WRAPPED = """
**B** | The answer is B. | Answer: B | <answer>B</answer> | <|begin_of_box|>B<|end_of_box|> | B。 | （B） | Ｂ | 【B】
<think>red? blue?</think> B | It may be red.</think>B | I considered (A). Final answer: B. | \\boxed{B} | B<|im_end|>
$\\boxed{\\text{B}}$ | **Answer:** (B) blue | **B. blue** | {"answer": "B"} | ``` B ``` | - B | # B | > B | `B` | "B"
◁think▷red?◁/think▷B | [THINK]red[/THINK]B | <|channel|>analysis<|message|>red?<|channel|>final<|message|>B | B.</s>
option b | Option B | I would go with option B | It is B. | B, because it is blue | B is correct | (b) | B: blue
答案是B | 選 B | 选项B | B选项是正确的 | 我认为答案是B | 正确答案是 B。 | 故选B。 | 答えはBです。 | 正解はB | Bです
정답은 B입니다. | B blue
La réponse est la B | La respuesta correcta es la opción B | Die richtige Antwort lautet B | Ответ: B | Risposta: B
คำตอบคือ B | सही उत्तर B है | الإجابة: B | Đáp án là B | Jawaban: B | Cevap: B | Odpowiedź: B | Resposta: B
it is blue | The sign is blue, I think | not only blue | The colour is not clear, but it is blue | <answer>blue</answer>
"""


@pytest.mark.parametrize("reply", [reply for line in WRAPPED.strip().splitlines() for reply in line.split(" | ")])
def test_an_option_is_read_whatever_it_is_wrapped_in(reply: str) -> None:
    assert read(reply.replace("``` B ```", "```\nB\n```"), COLOURS) == ReadAnswer("blue", True, "B")


UNREAD = """
not red, it is blue | red or blue | A or B | A, B | A/B | (A) or (B) | either A or B | Not A, so B | B. red | E | both
It is not red | It isn't blue | 不是红色 | The answer is A. The answer is B | <answer>A</answer><answer>B</answer>
It is vitamin C | A pretty picture | Gate B | I see a sign | <tool_call>B | </tool_call>BBBB | <think>B
a dog | no idea
"""


@pytest.mark.parametrize("reply", [reply for line in UNREAD.strip().splitlines() for reply in line.split(" | ")])
def test_nothing_is_guessed(reply: str) -> None:
    assert not read(reply, COLOURS).valid


@pytest.mark.parametrize(
    ("reply", "options", "text"),
    [
        ("94106 or 94107", ["94106", "94107"], None),
        ("C. A pretty girl", ["dog", "cat", "A pretty girl"], "A pretty girl"),
        ("It is at Gate B.", ["Gate B", "Gate A"], "Gate B"),
        ("No, there is no red car.", ["Yes", "No"], "No"),
        ("There is no doubt that it is red.", COLOURS, "red"),
        ("It is the red sign", ["red", "red sign"], "red sign"),
        ("A. red\nB. blue", COLOURS, None),
        ("１２", ["12", "21"], "12"),
        ("12.5", ["12", "21"], None),
        ("-5 degrees", ["5", "4"], None),
        ("有12个", ["12", "21"], "12"),
        ("有12.5个", ["12", "21"], None),
        ("它是红色的", ["红色", "蓝色"], "红色"),
        ("不是红色的", ["红色", "蓝色"], None),
        ("赤です", ["赤", "青"], "赤"),
        ("赤ではない", ["赤", "青"], None),
        ("यह नाला है।", ["नीला", "काला"], None),
        ("यह नीला है।", ["नीला", "काला"], "नीला"),
        ("빨간색입니다", ["빨간색", "파란색"], "빨간색"),
        ("빨간색이 아닙니다", ["빨간색", "파란색"], None),
        ("มันเป็นสีแดงครับ", ["สีแดง", "สีดำ"], "สีแดง"),
        ("Es ist nicht rot", ["rot", "blau"], None),
        ("Ce n'est pas rouge", ["rouge", "bleu"], None),
        ("C", ["red", "blue", "Cannot be determined"], "Cannot be determined"),
        ("Cannot be determined", ["red", "blue", "Cannot be determined"], "Cannot be determined"),
    ],
)
def test_options_are_found_as_words_of_their_script(reply: str, options: list[str], text: str | None) -> None:
    answer = read(reply, options)
    assert (answer.text if answer.valid else None) == text


ABSTENTIONS = """
**Cannot tell** | I cannot tell. | Cannot tell。 | I can't tell from the image. | Answer: Cannot tell | I don't know
Sorry, I cannot determine that from the picture | It is not possible to tell | Unable to determine
无法判断 | わかりません
The answer cannot be determined from the image. | 알 수 없습니다 | Das kann ich nicht sagen | не могу определить
<think>x</think>Cannot tell
"""


@pytest.mark.parametrize("reply", [reply for line in ABSTENTIONS.strip().splitlines() for reply in line.split(" | ")])
def test_an_abstention_is_one_in_any_words(reply: str) -> None:
    assert abstains(reply) and read(reply, COLOURS) == ReadAnswer(CANNOT_TELL, True) == read(reply)


@pytest.mark.parametrize("reply", ["I cannot see it but it is red", "cannot", "I can tell", "I don't know, maybe red"])
def test_words_beside_an_abstention_are_none(reply: str) -> None:
    assert not abstains(reply)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("<think>x</think>red", "red"),
        ("Answer: red", "red"),
        ("The answer is red.", "red"),
        ("I counted them.\n\n**Final answer:** 7\n\nThere are three more behind.", "7"),
        ("Exit **12**", "Exit 12"),
        ("5*3*2", "5*3*2"),
        ("snake_case_name", "snake_case_name"),
        ("1. FC Köln", "1. FC Köln"),
        ("$5 and $6", "$5 and $6"),
    ],
)
def test_free_words_are_the_answer_without_their_wrapping(reply: str, text: str) -> None:
    assert read(reply) == ReadAnswer(text, True)


CALLS = [
    "<tool_call>hoho",
    "</tool_call>BBBB",
    '[TOOL_CALLS][{"name": "zoom"',
    '{"name": "image_zoom_in_tool", "arguments": {}}',
    "<tool_call>\n<function=image_zoom_in_tool>",
    "image_zoom_in_tool(bbox_2d=[1, 2, 3, 4])",
    "<|python_tag|>image",
    "<answer><tool_call></answer>",
    "<answer></answer>",
    "<think>hm",
    "<|image_pad|>",
    "",
]


@pytest.mark.parametrize("reply", CALLS)
def test_a_call_or_bare_markup_is_no_answer(reply: str) -> None:
    assert read(reply) == ReadAnswer("", False) and read(reply, COLOURS).text == "" and not read(reply, COLOURS).valid


def test_a_thought_about_a_call_is_no_call() -> None:
    assert not is_call("<think>I could <tool_call> here</think>red")


SAME = [
    ("the sign", "The  sign"),
    ("47,", "47"),
    ("４７", "47"),
    ("٤٧", "47"),
    ("Yes!", "yes"),
    ('"red"', "red"),
    ("don’t", "don't"),
    ("−5", "-5"),
    ("红色。", "红色"),
    ("红 色", "红色"),
    ("Straße", "STRASSE"),
    ("cafe\u0301", "café"),
    ("(red)", "red"),
    ("नीला।", "नीला"),
    ("¿Qué?", "qué"),
]
OTHER = [("47", "48"), ("5", "-5"), ("C++", "C"), ("5%", "5"), ("Exit 12", "Exit 1 2"), ("नाला", "नीला"), ("!", "?")]


@pytest.mark.parametrize(
    ("one", "other", "equal"), [(*pair, True) for pair in SAME] + [(*pair, False) for pair in OTHER]
)
def test_one_function_says_what_the_same_answer_is(one: str, other: str, equal: bool) -> None:
    assert same_answer(one, other) is equal is same_answer(other, one)


def test_words_keep_their_marks_signs_and_points() -> None:
    assert words("यह नीला है।") == ["यह", "नीला", "है"]
    assert words("红色 sign") == ["红", "色", "sign"]
    assert words("-5 or 12.5 cm, 3D, 有12.5个") == ["-5", "or", "12.5", "cm", "3d", "有", "12.5", "个"]


def test_a_thought_ends_where_its_tag_says_so() -> None:
    assert without_thoughts("<think>a</think>red<think>b</think>") == "red"
    assert without_thoughts("a <think>b</think> c</think>red") == "red"
    assert without_thoughts("no thought") == "no thought"
    assert ends_in_thought("<think>a") and not ends_in_thought("<think>a</think>") and not ends_in_thought("a")


PATHOLOGICAL = [
    "<think>",
    "**",
    "`",
    "<answer>",
    "\\boxed{",
    "$",
    "answer is ",
    "_a",
    "*a ",
    "the ",
    "\n- ",
    "答案",
    "A.",
]
PATHOLOGICAL += ["not ", "(A)", "option ", "i would ", "blue ", "不", "\nA", "it is so i ", "<tool", "{ ", "[ ]"]


@pytest.mark.parametrize("unit", PATHOLOGICAL)
def test_pathological_replies_are_read_in_linear_time(unit: str) -> None:
    text = (unit * (64_000 // len(unit) + 1))[:64_000]
    start = time.process_time()
    read(text, COLOURS)
    read(text)
    unwrapped(text)
    assert time.process_time() - start < 4


FLOODS = [
    *(f"{start}{unit * 60_000}{end}"[:64_000] for start in ("```", "x", "") for unit in "\n .\t" for end in ("x", "")),
    *("x" + unit * 30_000 + "y" for unit in (" \n", ".\n", "\n\t")),
    *("```text" + "\n" * 60_000 + "`", "\ufdfa" * 60_000, "\ufdfa\n" * 30_000, "\u3300 " * 30_000),
]


@pytest.mark.parametrize("text", FLOODS, ids=lambda text: f"{text[:9]!r}-{len(text)}")
def test_floods_of_blanks_and_of_characters_that_grow_are_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    for reading in (read, read_published):
        reading(text, COLOURS)
        reading(text)
    unwrapped(text)
    listed(text)
    same_answer(text, text + "x")
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("A\n\nsaid", "A"), ("so\n\n (B) \n.", "B"), ("x\n**B**", "B"), ("A\n \nB", None), ("x\n\n.\n\ny", None)],
)
def test_a_letter_alone_on_its_line_is_an_option(reply: str, letter: str | None) -> None:
    assert read(reply, ["one", "two"]).letter == letter


def test_long_options_are_compared_without_making_patterns_of_them() -> None:
    options = [f"{i} " + "\ufdfa" * 1990 for i in range(26)]
    start = time.process_time()
    assert read(f"c) {options[2]}", options).letter == "C"
    assert time.process_time() - start < 4


LISTS = [
    ("red sign, blue car", ["red sign", "blue car"]),
    ("1. red sign\n2. blue car", ["red sign", "blue car"]),
    ("- a\n- b", ["a", "b"]),
    ("['a', 'b']", ["a", "b"]),
    ('["a", "b"]', ["a", "b"]),
    ("**a**, **b**", ["a", "b"]),
    ("a sign, a car, and a dog", ["a sign", "a car", "a dog"]),
    ("红色标志，蓝色汽车", ["红色标志", "蓝色汽车"]),
    ("1. 红色标志\n2. 蓝色汽车", ["红色标志", "蓝色汽车"]),
    ("赤い看板、青い車", ["赤い看板", "青い車"]),
    ("<think>x, y</think>Answer: sign, 3 dogs", ["sign", "3 dogs"]),
    ("The whole picture", []),
    ("Whole image.", []),
    ("整张图片", []),
    ("<tool_call>x, y", ["the question"]),
    ("It is hard to say what " + "really " * 20 + "matters here", ["the question"]),
]


@pytest.mark.parametrize(("reply", "names"), LISTS)
def test_what_must_be_seen_is_read_from_any_list(reply: str, names: list[str]) -> None:
    assert named(reply, "the question") == names
