"""Questions that a picture cannot answer: those of other pictures, about things that nobody has seen here.

Visual Genome does not name all that is in a picture. So a thing counts as absent only where none of its words occurs in
anything that is said of the picture: objects, attributes, regions, questions, answers. Left out: things taken out of a
picture by painting them over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zoomagent.data.genome.index import Page
from zoomagent.data.genome.words import OPEN, vocabulary, words
from zoomagent.data.trajectories.curation import Candidate, cannot_tell


@dataclass(frozen=True)
class Donor:
    """A question of another picture about a thing that may not be here."""

    image_id: int
    qa: int
    question: str
    phrase: str


def donor_of(candidate: Candidate) -> Donor | None:
    """The question as one to ask of other pictures. None where it names nothing, or where No would be an answer."""
    targets = candidate.targets
    if len(targets) != 1 or not targets[0].named or not OPEN & set(words(candidate.question)[:1]):
        return None
    return Donor(candidate.image_id, candidate.qa, candidate.question, targets[0].label)


def from_donors(page: Page, donors: Sequence[Donor]) -> Candidate | None:
    """The first question that the picture cannot answer."""
    known = said_of(page)
    for donor in donors:
        if donor.image_id != page.shot.id and not known & set(words(donor.phrase)):
            return cannot_tell(page, donor.question, donor.qa, donor.phrase, "asked of another picture")
    return None


def said_of(page: Page) -> set[str]:
    """Every word that is said of a picture."""
    texts = [name for thing in page.things for name in thing.names]
    texts += [region.phrase for region in page.regions]
    texts += [text for asked in page.asked for text in (asked.question, asked.answer)]
    texts += [word for said in page.attributes.values() for word in said]
    return vocabulary(texts)
