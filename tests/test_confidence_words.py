"""An arbiter knows the words it was certified on where they are a closed list, however seldom one of them stands."""

from zoomagent.confidence.features import Features
from zoomagent.confidence.records import Record
from zoomagent.training.calibration.fitting import closed_words


def records(questions: list[str]) -> list[Record]:
    return [Record(id=str(i), question=text, features=Features(), macro_right=True) for i, text in enumerate(questions)]


def test_a_word_that_stands_once_in_many_certified_questions_is_known() -> None:
    words = closed_words(records(["Is there a circle?"] * 60 + ["Is there a square?"]))
    assert words == ("a", "circle", "is", "square", "there")


def test_the_questions_of_people_are_no_closed_list() -> None:
    assert closed_words(records([f"What is thing{i} near place{i}?" for i in range(50)])) == ()
    assert closed_words(records(["", ""])) == ()
