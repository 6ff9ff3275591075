"""Whatever a program hands over as picture, question or options: that run is refused, and the others are answered."""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel
from PIL import Image
from zoo import cut, jpeg, photo, png, saved, tiff

from zoomagent import Box, SettingInvalid, ZoomAgent
from zoomagent.models.server.openai_server import OpenAIModel


class Reader:
    """A file object that reads as it is told."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read


def raising(error: BaseException) -> Reader:
    def read(count: int) -> Any:
        raise error

    return Reader(read)


def lazy(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def closed(image: Image.Image) -> Image.Image:
    image.close()
    return image


def of_closed_file() -> Image.Image:
    file = io.BytesIO(jpeg())
    image = Image.open(file)
    file.close()
    return image


def closed_file() -> io.BytesIO:
    file = io.BytesIO(jpeg())
    file.close()
    return file


class Odd(Sequence[Any]):
    """A caller's own list: it raises when it is counted, read, or neither and never ends."""

    def __init__(self, when: str = "") -> None:
        self.when = when

    def __len__(self) -> int:
        if self.when == "counted":
            raise RuntimeError("not now")
        return 2

    def __getitem__(self, place: Any) -> Any:
        if self.when == "read":
            raise KeyError("not now")
        return place


class OddWords(str):
    """Text of a caller's own kind."""

    def strip(self, *given: Any) -> str:
        raise RuntimeError("not now")

    __str__ = strip


class Nameless:
    def __str__(self) -> str:
        raise ZeroDivisionError

    def __index__(self) -> int:
        raise RuntimeError("not now")

    __repr__ = __str__


class Endless:
    """Four numbers, it says."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[int]:
        return iter(int, 1)


def saying(**info: Any) -> Image.Image:
    image = photo()
    image.info.update(info)
    return image


PICTURES: dict[str, Callable[[], Any]] = {
    "lazy jpeg, cut": lambda: lazy(cut(jpeg(), 0.5)),
    "lazy png, cut": lambda: lazy(cut(png(), 0.6)),
    "lazy gif, cut": lambda: lazy(cut(saved(photo(), "GIF"), 0.3)),
    "lazy tiff, cut": lambda: lazy(cut(tiff(), 0.5)),
    "closed image": lambda: closed(photo()),
    "closed lazy image": lambda: closed(lazy(jpeg())),
    "image of a closed file": of_closed_file,
    "closed file": closed_file,
    "text file": lambda: io.StringIO("text"),
    "class": lambda: io.BytesIO,
    "module": lambda: Image,
    "none": lambda: None,
    "number": lambda: 5,
    "list": lambda: [[1, 2], [3, 4]],
    "bytearray": lambda: bytearray(jpeg()),
    "objects": lambda: np.array([[object()] * 5] * 5),
    "texts": lambda: np.array([["a"] * 5] * 5),
    "records": lambda: np.zeros((5, 5), dtype=[("a", "u1")]),
    "no rows": lambda: np.zeros((0, 5, 3)),
    "five channels": lambda: np.zeros((5, 5, 5), np.uint8),
    "no pixels": lambda: Image.new("RGB", (0, 5)),
    "odd transparency": lambda: saying(transparency="x"),
    "odder transparency": lambda: saying(transparency=(1, 2)),
    "objects as transparency": lambda: saying(transparency=object()),
    "reads nothing": lambda: Reader(lambda count: None),
    "reads numbers": lambda: Reader(lambda count: 7),
    "reads more than it is asked for": lambda: Reader(lambda count: bytes(count + 5)),
    **{
        f"raises {type(error).__name__}": lambda error=error: raising(error)  # type: ignore[misc]
        for error in (
            *(OSError("x"), ValueError("x"), RuntimeError("x"), KeyError("x"), EOFError(), StopIteration()),
            *(MemoryError(), RecursionError(), TimeoutError("x"), AssertionError(), ExceptionGroup("x", [OSError()])),
        )
    },
}

QUESTIONS: dict[str, tuple[Any, ...]] = {
    "options 5": ("q", 5),
    "options by and by": ("q", (option for option in "ab")),
    "options without end": ("q", iter(int, 1)),
    "options in a dictionary": ("q", {"a": 1}),
    "options in a set": ("q", {"a"}),
    "options in an array": ("q", np.array(["a", "b"])),
    "bytes as options": ("q", b"ab"),
    "text as options": ("q", "ab"),
    "none as option": ("q", [None]),
    "half a character": ("q", ["\ud800"]),
    "half a character in the question": ("\ud800",),
    "none as question": (None,),
    "bytes as question": (b"q",),
    "endless question": ("q" * 10_000_000,),
    "no question": (),
    "options that cannot be counted": ("q", Odd("read")),
    "options of numbers without end": ("q", Odd()),
    "more options than there are numbers": ("q", range(10**30)),
    "a nameless question": (Nameless(),),
    "a nameless option": ("q", [Nameless()]),
    "no words of its own kind": (OddWords(""),),
    "too many things": ("q", ["a"], [], 1),
}


@pytest.fixture
def agent() -> Iterator[ZoomAgent]:
    with ZoomAgent(FakeModel(respond=lambda call: "Exit"), strategy="macro", proof=False) as agent:
        yield agent


@pytest.mark.parametrize("kind", PICTURES)
def test_one_picture_does_not_stop_the_others(kind: str, agent: ZoomAgent) -> None:
    first, answer, last = agent.batch([(photo(), "q"), (PICTURES[kind](), "q"), (photo(), "q")])
    assert first.outcome.kind == last.outcome.kind == "answered"
    assert answer.outcome.kind == "refused" and answer.outcome.exit_status == 65
    assert "0x" not in answer.model_dump_json()


@pytest.mark.parametrize("kind", QUESTIONS)
def test_one_question_does_not_stop_the_others(kind: str, agent: ZoomAgent) -> None:
    first, answer, last = agent.batch([(photo(), "q"), (photo(), *QUESTIONS[kind]), (photo(), "q")])
    assert first.outcome.kind == last.outcome.kind == "answered"
    assert (answer.outcome.kind, answer.outcome.code) == ("refused", "bad_question")
    assert len(answer.model_dump_json()) < 50_000


REGIONS: dict[str, Any] = {
    "that cannot be read": Odd("read"),
    "without end": Odd(),
    "more than there are numbers": range(10**30),
    "of a nameless number": [[0, 0, Nameless(), 9]],
    "of numbers without end": [Endless()],
    "in no order": [{4, 1, 2, 3}],
    "by name": [{0: 1, 1: 2, 8: 3, 9: 4}],
    "of bytes": [bytearray(b"\0\0\5\5")],
    "of a box of text": [Box("a", 0, 9, 9)],  # type: ignore[arg-type]
    "of five": [[0, 0, 9, 9, 9]],
}


@pytest.mark.parametrize("kind", REGIONS)
def test_regions_that_are_none_stop_no_other_question(kind: str, agent: ZoomAgent) -> None:
    answer, good = agent.batch([(photo(), "q", (), REGIONS[kind]), (photo(), "q")])
    assert (answer.outcome.kind, answer.outcome.code) == ("refused", "bad_region")
    assert good.outcome.kind == "answered"


def test_texts_and_lists_of_a_callers_own_kind_are_read_as_what_they_are(agent: ZoomAgent) -> None:
    words, corners = OddWords("Is it red in {0}?"), np.array([0, 0, 9, 9])
    answer = agent.ask(photo(), words, [OddWords("yes"), "no"], regions=[corners])  # type: ignore[list-item]
    assert answer.outcome.kind.startswith("answered") and answer.options == ("yes", "no")
    assert agent.ask(photo(), "q", Odd("counted")).outcome.code == "bad_question"


@pytest.mark.parametrize("calls", ["x", None, 0, -1, float("nan"), [], 1.5])
def test_a_description_costs_a_number_of_calls_that_can_be(calls: Any, agent: ZoomAgent) -> None:
    with pytest.raises(ValueError, match="calls"):
        agent.describe(photo(), calls=calls)


def deep(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [object(), b"x", {1, 2}, float("nan"), float("inf"), deep(50_000)], ids=type)
def test_what_no_request_can_hold_is_refused_when_it_is_set(value: Any) -> None:
    for given in ({"extra_body": {"a": value}}, {"profile": {"extra_body": {"a": value}}}):
        with pytest.raises((ValueError, SettingInvalid)):
            ZoomAgent("http://localhost:9/v1#x", **given)
    with pytest.raises(SettingInvalid, match="JSON"):
        OpenAIModel("http://localhost:9/v1", "x", extra_body={"a": value})


@pytest.mark.parametrize("item", [None, 5, object(), "", (photo(),), Odd("read"), Odd(), (photo(), Nameless())])
def test_an_item_that_is_none_is_refused_alone(item: Any, agent: ZoomAgent) -> None:
    answer, good = agent.batch([item, (photo(), "q")])
    assert answer.outcome.code == "bad_question" and good.outcome.kind == "answered"


def test_no_options_may_be_none(agent: ZoomAgent) -> None:
    assert agent.ask(photo(), "q", None).outcome.kind == "answered"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1e308, float("inf"), float("nan"), -1e308])
def test_numbers_that_no_picture_holds_are_shown_as_far_as_they_go(value: float, agent: ZoomAgent) -> None:
    assert agent.ask(np.array([[value, 1.0] * 50] * 50), "q").outcome.kind == "answered"
