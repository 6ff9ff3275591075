"""Text with boxes and moments: what is written and read again is the same, in linear time, and no word is lost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from zoomagent.models.words.interleaved import Interleaved, Phrase, parse_interleaved, write_interleaved

NUMBERS = some.integers(0, 1000) | some.floats(0, 1).map(lambda n: round(n, 4))
BOXES = some.lists(some.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=3).map(tuple)
MOMENTS = some.lists(some.tuples(NUMBERS, NUMBERS), max_size=2).map(tuple)
WORDS = some.text(alphabet="ab the.,;:\n'é日-", max_size=12)
LABELS = some.text(alphabet="ab the'é日-", min_size=1, max_size=12).filter(str.strip)


@some.composite
def values(draw: some.DrawFn) -> Interleaved:
    """Words with phrases anywhere in them."""
    words, phrases = draw(WORDS), []
    for _ in range(draw(some.integers(0, 4))):
        inner, boxes, moments = draw(LABELS), draw(BOXES), draw(MOMENTS)
        if boxes or moments:
            phrases.append(Phrase(len(words), len(words) + len(inner), boxes, moments))
            words += inner + draw(WORDS)
    return Interleaved(words, tuple(phrases))


@given(values())
def test_what_is_written_is_read_again(value: Interleaved) -> None:
    assert parse_interleaved(write_interleaved(value)) == value


@given(values(), some.booleans())
def test_labels_boxes_and_moments_survive_json(value: Interleaved, y_first: bool) -> None:
    back = parse_interleaved(write_interleaved(value, "json", y_first=y_first), y_first=y_first)
    kept = [(value.text(phrase), phrase.boxes, phrase.moments) for phrase in value.phrases]
    assert [(back.text(phrase), phrase.boxes, phrase.moments) for phrase in back.phrases] == kept


PIECES = some.sampled_from(
    [
        *"[](){}<>,.:0 ",
        "a red sign",
        "[1,2,3,4]",
        "[[1, 2], [3, 4]]",
        "{0.1,0.2}",
        "<ref>",
        "</ref>",
        "<box>1 2 3 4</box>",
    ]
)


@given(some.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_read_without_an_error_and_what_was_read_can_be_written(text: str) -> None:
    value = parse_interleaved(text)
    ends = [place for phrase in value.phrases for place in (phrase.start, phrase.end)]
    assert ends == sorted(ends) and all(0 <= end <= len(value.words) for end in ends)
    try:
        written = write_interleaved(value)
    except ValueError:
        return  # what is left reads as a mark again
    assert parse_interleaved(written) == value


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("A girl[0.460, 0.000, 0.915, 0.995] is left of two dogs[0,0,1,1][0.1,0.2,0.3,0.4].", ["A girl", "two dogs"]),
        ("It is there in {0.16, 0.36}.", ["It is there in"]),
        ("From [[1.5, 2.5], [7, 9]] it rains", ["From"]),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}, {"bbox_2d": [5, 6, 7, 8], "label": "dog"}]', ["dog", "dog"]),
        ("<|object_ref_start|>dog<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", ["dog"]),
        ("<think>a dog[1,2,3,4]</think>a cat[1,2,3,4]", ["a cat"]),
        ("No numbers, [1, 2, 3] and [a] are no boxes.", []),
    ],
)
def test_the_forms_that_models_write_are_read(text: str, phrases: list[str]) -> None:
    value = parse_interleaved(text)
    assert [value.text(phrase) for phrase in value.phrases] == phrases
    assert all(phrase.boxes or phrase.moments for phrase in value.phrases)


@pytest.mark.parametrize(
    "piece",
    ["[", "[[1,2,3,4],", "[1,2,3,4] ", "{1,", "<ref>", "[1,2,3,", "the ", '[{"label":"a","bbox_2d":[1,2,3,4]},'],
)
def test_reading_takes_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        text, found = (piece * length)[:length], []
        for _ in range(4):
            began = time.process_time()
            parse_interleaved(text)
            found.append(time.process_time() - began)
        return min(found)

    # Sixteen times the text: linear is 16 times the time, quadratic 256.
    assert seconds(64 * 1024) < 100 * max(seconds(4 * 1024), 0.0005)
    assert parse_interleaved("a dog[1,2,3,4]" * 5000) == Interleaved("")
