"""Which questions are kept: those that say which thing they mean, and by its size what they can teach."""

from collections import Counter
from dataclasses import replace

import pytest

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.genome.index import Page
from zoomagent.data.genome.rows import QuestionRow, Region, Relation, Shot, Thing
from zoomagent.data.genome.words import label, occurs
from zoomagent.data.trajectories.choice import CAPPED, Entry, choose, donor_of, from_donors
from zoomagent.data.trajectories.curation import Candidate, Thresholds, as_line, curate, from_line, judge
from zoomagent.data.trajectories.trajectory import KINDS, Kind
from zoomagent.geometry import Size

LIMITS = Thresholds()


def cup(number: int, left: int, side: int = 60, name: str = "cup") -> Thing:
    return Thing(number, (left, 100, left + side, 100 + side), (name,))


def page_of(*things: Thing, asked: QuestionRow | None = None, **other: object) -> Page:
    questions = (asked,) if asked else ()
    page = Page(Shot(1, "VG_100K/1.jpg", Size(1000, 1000)), things, {}, (), (), questions, {})
    return replace(page, **other)  # type: ignore[arg-type]


def about(*things: Thing, question: str = "What is on the cup?", answer: str = "Tea") -> QuestionRow:
    return QuestionRow(1, question, answer, things, ())


def kept(page: Page, asked: QuestionRow) -> Candidate:
    judged = judge(page, asked, LIMITS)
    assert isinstance(judged, Candidate), judged
    return judged


def test_a_question_about_one_of_two_cups_is_dropped_and_about_the_only_one_kept() -> None:
    two = page_of(cup(1, 100), cup(2, 500))
    assert judge(two, about(cup(1, 100)), LIMITS) == "several things of that name, not told apart"
    assert kept(page_of(cup(1, 100)), about(cup(1, 100))).targets[0].box == (100, 100, 160, 160)


def test_an_attribute_that_only_one_has_tells_it_apart() -> None:
    page = page_of(cup(1, 100), cup(2, 500), attributes={1: ("red",), 2: ("blue",)})
    asked = about(cup(1, 100), question="What is on the red cup?")
    assert kept(page, asked).targets[0].label == "red cup"
    same = replace(page, attributes={1: ("red",), 2: ("red",)})
    assert isinstance(judge(same, asked, LIMITS), str)


def test_a_relation_that_only_one_has_tells_it_apart() -> None:
    page = page_of(cup(1, 100), cup(2, 500), cup(3, 700, name="tray"), relations=(Relation(1, "on", 3),))
    asked = about(cup(1, 100), question="What is in the cup on the tray?")
    assert kept(page, asked).targets[0].label == "cup"
    assert isinstance(judge(replace(page, relations=()), asked, LIMITS), str)


def test_a_thing_that_was_marked_twice_is_one_thing() -> None:
    page = page_of(cup(1, 100), cup(2, 103))
    assert len(kept(page, about(cup(1, 100), cup(2, 103))).targets) == 1
    kept(page, about(cup(1, 100)))


def test_a_region_stands_in_for_objects_that_are_not_linked() -> None:
    region = Region(9, (100, 100, 180, 180), "tea in a cup")
    page = page_of(cup(1, 110), regions=(region,), regions_of_questions={1: 9})
    candidate = kept(page, about())
    assert candidate.rule == "region" and candidate.targets[0].box == region.box
    crowded = replace(page, things=(*page.things, cup(2, 600)))
    assert judge(crowded, about(), LIMITS) == "several things of that name, not told apart"


def test_the_one_object_named_is_what_an_unlinked_question_is_about() -> None:
    assert kept(page_of(cup(1, 100), cup(2, 500, name="dog")), about()).rule == "the one object named"
    assert judge(page_of(cup(1, 100), cup(2, 500)), about(), LIMITS) == "names things, linked to none"


@pytest.mark.parametrize(
    ("side", "kinds"),
    [
        (60, {"one_zoom", "zoom_of_zoom", "verify"}),
        (150, {"one_zoom", "verify"}),
        (320, {"no_zoom"}),
    ],
)
def test_size_decides_what_a_question_teaches(side: int, kinds: set[str]) -> None:
    assert set(kept(page_of(cup(1, 100, side)), about(cup(1, 100, side))).kinds) == kinds


def test_a_thing_neither_small_nor_large_teaches_nothing() -> None:
    assert judge(page_of(cup(1, 100, 240)), about(cup(1, 100, 240)), LIMITS) == "neither small nor large"


def test_places_of_small_things_are_answered_from_the_whole_or_not_at_all() -> None:
    for side, kinds in ((60, ("no_zoom",)), (30, None)):
        judged = judge(page_of(cup(1, 100, side)), about(cup(1, 100, side), question="Where is the cup?"), LIMITS)
        assert (judged.kinds if isinstance(judged, Candidate) else None) == kinds


def test_a_wrong_look_needs_another_thing_that_lies_apart() -> None:
    near = Thing(2, (150, 150, 170, 170), ("dog",))
    assert "recovered" not in kept(page_of(cup(1, 100), near), about(cup(1, 100))).kinds
    assert "recovered" in kept(page_of(cup(1, 100), cup(2, 800, name="dog")), about(cup(1, 100))).kinds


def test_questions_about_nothing_in_particular_are_for_the_whole() -> None:
    weather = about(question="What is the weather like?")
    assert kept(page_of(cup(1, 100)), weather).kinds == ("no_zoom",)


def test_where_nothing_is_marked_nothing_can_be_said_of_a_question() -> None:
    assert judge(page_of(), about(), LIMITS) == "nothing is marked in its picture"


def test_what_the_file_can_not_answer_is_kept_as_that() -> None:
    candidate = kept(page_of(cup(1, 100)), about(question="What is on the red hat?", answer="cannot tell."))
    assert candidate.answer == CANNOT_TELL and candidate.phrase == "red hat" and candidate.kinds == ("cannot_tell",)


def test_a_label_says_no_more_than_the_question() -> None:
    assert label(("mug", "cup"), ("red", "hot"), "What is on the red cups?") == "red cup"
    assert label(("square",), ("red",), "What shape is the red one?") == "red one"
    assert label(("square",), (), "What shape is the red one?") is None
    assert label(("square",), ("red",), "What shape is it?") is None
    candidate = kept(
        page_of(cup(1, 100), attributes={1: ("red",)}), about(cup(1, 100), question="What is the red one?")
    )
    assert candidate.targets[0].label == "red one"
    unnamed = kept(page_of(cup(1, 100)), about(cup(1, 100), question="What is the red one?"))
    assert unnamed.targets[0].label == "What is the red one" and "verify" not in unnamed.kinds


def test_words_are_found_as_words() -> None:
    assert occurs("cup", "Which CUPS?") and occurs("traffic light", "a traffic light.") and occurs("boxes", "the box")
    assert not occurs("cup", "a cupboard") and not occurs("light", "lightning") and not occurs("", "anything")


def donors_page(number: int, name: str) -> tuple[Page, Candidate]:
    thing = cup(1, 100, name=name)
    asked = QuestionRow(10 * number, f"What is on the {name}?", "Tea", (thing,), ())
    page = replace(page_of(thing, asked=asked), shot=Shot(number, f"VG_100K/{number}.jpg", Size(1000, 1000)))
    return page, kept(page, asked)


def test_a_question_is_asked_of_a_picture_only_where_nothing_hints_at_its_thing() -> None:
    _, hat = donors_page(2, "hat")
    donor = donor_of(hat)
    assert donor is not None
    found = from_donors(page_of(cup(1, 100)), [donor])
    assert found is not None and found.answer == CANNOT_TELL and found.phrase == "hat" and found.image_id == 1
    hinted = page_of(cup(1, 100), regions=(Region(1, (0, 0, 9, 9), "man with hats"),))
    assert from_donors(hinted, [donor]) is None


def test_yes_no_questions_are_no_donors() -> None:
    asked = about(cup(1, 100), question="Is there a cup?", answer="Yes")
    assert donor_of(kept(page_of(cup(1, 100)), asked)) is None


def test_counts_add_up_and_candidates_survive_their_line() -> None:
    counts: Counter[str] = Counter()
    page = page_of(cup(1, 100), asked=about(cup(1, 100)))
    [found] = curate(page, LIMITS, counts)
    assert counts == {"curation: questions read": 1, "curation: candidates": 1}
    assert from_line(as_line(found)) == found


def entries(n: int, *kinds: Kind) -> list[Entry]:
    return [Entry(i, i, kinds) for i in range(n)]


def test_choosing_does_not_depend_on_the_order_of_the_files() -> None:
    some = [Entry(i, 7 * i, KINDS) for i in range(300)]
    turned = some[::-1]
    first = {some[i].qa: kind for i, kind in choose(some, KINDS, 50, 3).items()}
    assert first == {turned[i].qa: kind for i, kind in choose(turned, KINDS, 50, 3).items()}
    assert first != {some[i].qa: kind for i, kind in choose(some, KINDS, 50, 4).items()}


def test_kinds_come_in_their_shares_where_there_are_enough() -> None:
    counts = Counter(choose(entries(2000, *KINDS), KINDS, 1000, 1).values())
    assert counts.total() == 1000
    assert counts["one_zoom"] == 300 and counts["no_zoom"] == 200 and counts["verify"] == 60


def test_questions_without_a_zoom_never_swamp_the_zooms() -> None:
    some = [*entries(90, "one_zoom"), *(Entry(1000 + i, i, ("no_zoom",)) for i in range(900))]
    counts = Counter(choose(some, KINDS, None, 1).values())
    assert counts["one_zoom"] == 90 and counts["no_zoom"] == 26
    assert set(CAPPED) == {"no_zoom", "cannot_tell"}
