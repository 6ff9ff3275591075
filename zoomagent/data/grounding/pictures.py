"""Sets of pictures: RefCOCO, RefCOCO+ and RefCOCOg (refs file and instances.json), and Flickr30K Entities.

Quirks that are heeded: a ref's `file_name` is no COCO name, so pictures are found by `image_id`; boxes of COCO are x,
y, width, height; corners of Flickr30K are counted from 1; an entity may have several boxes, several names, or none; id
0 is not visual. Every drop is counted by its reason. Left out: opening the pictures.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.parsers import expat

from zoomagent.data.grounding.annotation import (
    MOST_SIDE,
    Annotation,
    Corners,
    Counts,
    clean,
    identity,
    number,
    read_file,
    read_json,
)
from zoomagent.data.grounding.plain_values import read_plain
from zoomagent.errors import InputRefused

MOST_LINE = 20_000
"""Characters of a sentence with its marks (ours)."""
MOST_BOXES = 200
"""Boxes of one entity (ours)."""
SENTENCE_BYTES = 8
"""What a sentence takes in a file beside its words, at the least: an empty dictionary with one key and its value."""
_NUMBERS = frozenset(("width", "height", "xmin", "ymin", "xmax", "ymax"))
_DIGITS = re.compile(r"[0-9]{1,6}")
_ENTITY = re.compile(r"\[/EN#(\d{1,12})/(\S{1,80}) ([^\[\]]{1,400})\]")


def read_refcoco(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """Each sentence of each ref. `folder` holds one or more `refs(…).p` and `instances.json`."""
    instances = read_json(folder / "instances.json")
    try:
        boxes = {one["id"]: one["bbox"] for one in instances["annotations"]}
        shots = {one["id"]: one for one in instances["images"]}
    except (KeyError, TypeError) as error:
        raise InputRefused("instances.json is not COCO's file of annotations.", code="data_corrupt") from error
    files = sorted(folder.glob("refs*.p"))
    file = choose_split(files)
    content = read_file(file)
    refs, room = read_plain(content), 2 * len(content)
    counts["split files: not read"] += len(files) - 1
    for ref in refs if isinstance(refs, list) else []:
        # A pickle may name one list from many places: what is read must fit into twice what the file has.
        sentences = ref.get("sentences") if isinstance(ref, dict) else None
        for sentence in sentences if isinstance(sentences, list) else []:
            words = sentence.get("sent") if isinstance(sentence, dict) else None
            room -= SENTENCE_BYTES + (len(words) if isinstance(words, str) else 0)
            if room < 0:
                break
        if room < 0:
            text = f"{file.name} repeats its refs or sentences more often than a file of its size can. Get it again."
            raise InputRefused(text, code="data_corrupt")
        yield from _sentences_of(ref, boxes, shots, counts)


def choose_split(files: Sequence[Path]) -> Path:
    """The one split file that is read: all of a folder name the same things, each with sides of its own. UMD's of
    RefCOCOg comes first, for Google's has pictures on both sides; then UNC's, which papers on RefCOCO use."""
    if not files:
        raise InputRefused("There is no refs(…).p. Give the folder of a RefCOCO set.", code="data_missing")
    named = next((found for split in ("umd", "unc") if (found := [one for one in files if split in one.name])), files)
    if len(named) > 1:
        listed = ", ".join(file.name for file in named)
        raise InputRefused(f"There are several splits: {listed}. Leave one in the folder.", code="data_ambiguous")
    return named[0]


def _sentences_of(ref: Any, boxes: dict[Any, Any], shots: dict[Any, Any], counts: Counts) -> Iterator[Annotation]:
    try:
        shot = shots[identity(ref["image_id"])]
        size = (int(number(shot["width"], 0, MOST_SIDE)), int(number(shot["height"], 0, MOST_SIDE)))
        x, y, width, height = (number(side, -MOST_SIDE, MOST_SIDE) for side in boxes[identity(ref["ann_id"])])
        sentences, split, name = ref["sentences"], str(identity(ref["split"])), identity(ref["ref_id"])
        file = str(identity(shot["file_name"]))
    except (KeyError, TypeError, ValueError):
        counts["refs: without picture, box or sentences"] += 1
        return
    box = inside((x, y, x + width, y + height), size)
    if box is None:
        counts["refs: box without area in the picture"] += 1
        return
    for place, sentence in enumerate(sentences if isinstance(sentences, list) else []):
        phrase = clean(sentence.get("sent") if isinstance(sentence, dict) else None)
        if not phrase:
            counts["refs: sentence without words"] += 1
            continue
        counts["refs: read"] += 1
        yield Annotation(f"ref-{name}-{place}", "picture", file, phrase, split, size, boxes=(box,), sentence=phrase)


def inside(corners: tuple[float, ...], size: tuple[int, int]) -> Corners | None:
    """The box in whole pixels, cut at the picture's border; None where nothing is left."""
    left, top = max(0, round(corners[0])), max(0, round(corners[1]))
    right, bottom = min(size[0], round(corners[2])), min(size[1], round(corners[3]))
    return (left, top, right, bottom) if left < right and top < bottom else None


def read_flickr30k(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """Each phrase of each sentence that has a box."""
    sides = [(split, folder / f"{split}.txt") for split in ("train", "val", "test")]
    listed = [
        (split, name.strip())
        for split, file in sides
        if file.is_file()
        for name in read_file(file).decode("utf-8", "replace").splitlines()
    ]
    names = dict.fromkeys(listed)
    if len(names) < len(listed):
        counts["annotations: there twice"] += len(listed) - len(names)
    if not names:
        raise InputRefused("There is no train.txt, val.txt or test.txt with pictures.", code="data_missing")
    for split, name in names:
        if not re.fullmatch(r"[\w-]{1,80}", name):
            counts["pictures: name that is none"] += 1
            continue
        try:
            size, boxes = _flickr_boxes(read_file(folder / "Annotations" / f"{name}.xml"), counts)
            sentences = read_file(folder / "Sentences" / f"{name}.txt").decode("utf-8", "replace").splitlines()
        except InputRefused as error:
            counts[f"pictures: {error.code}"] += 1
            continue
        for row, line in enumerate(sentences):
            for one in _phrases_of(line, f"{name}-{row}", boxes, counts):
                yield replace(one, file=f"{name}.jpg", split=split, size=size)


def _phrases_of(
    line: str, identity: str, boxes: Mapping[str, Sequence[Corners]], counts: Counts
) -> Iterator[Annotation]:
    """The phrases of a sentence that have boxes, each with its place in it."""
    if len(line) > MOST_LINE:
        counts["sentences: too long"] += 1
        return
    words = clean(_ENTITY.sub(lambda match: match[3], line))
    if "[/EN#" in words:
        counts["sentences: marks not readable"] += 1
        return
    start, between, end = 0, "", 0
    for place, match in enumerate(_ENTITY.finditer(line)):
        lead = len(match[3]) - len(match[3].lstrip())
        between += line[end : match.start()] + match[3][:lead]
        end = match.end()
        if lead < len(match[3]):
            # Where a letter in the place of the phrase's first one is, counted from the phrase before.
            start += len(clean(f"{between}x")) - 1
            between = match[3][lead:]
        phrase, found = clean(match[3]), boxes.get(match[1], ())
        if match[1] == "0" or not found or not phrase:
            reason = "not visual" if match[1] == "0" else "without words" if found else "without a box"
            counts[f"phrases: {reason}"] += 1
            continue
        counts["phrases: read"] += 1
        yield Annotation(
            f"{identity}-{place}", "picture", "", phrase, "", boxes=tuple(found), sentence=words, sentence_id=identity,
            start=start,
        )  # fmt: skip


def _flickr_boxes(content: bytes, counts: Counts) -> tuple[tuple[int, int], dict[str, list[Corners]]]:
    """The picture's size, and the boxes of each entity."""
    size, found = _read_annotation(content, counts)
    boxes = dict[str, list[Corners]]()
    for several, corners in found:
        given = [corners.get(corner, 0) for corner in ("xmin", "ymin", "xmax", "ymax")]
        box = inside((given[0] - 1, given[1] - 1, given[2], given[3]), size)
        if box is None:
            counts["objects: box without area in the picture"] += 1
            continue
        for name in several:
            boxes.setdefault(name, []).append(box)
            if len(boxes[name]) > MOST_BOXES:
                raise InputRefused(f"An entity has more than {MOST_BOXES} boxes.", code="data_corrupt")
    return size, boxes


def _read_annotation(content: bytes, counts: Counts) -> tuple[tuple[int, int], list[tuple[list[str], dict[str, int]]]]:
    """The picture's size, and of each object with a box the names and the corners."""
    values: dict[str, int] = {}
    names: list[str] = []
    found: list[tuple[list[str], dict[str, int]]] = []
    text: list[str] = []
    is_inside = False

    def start(tag: str, _: Any) -> None:
        nonlocal is_inside
        text.clear()
        if tag == "object":
            if is_inside:
                raise InputRefused("An annotation has an object in an object.", code="data_corrupt")
            is_inside = True
            names.clear()
            for corner in ("xmin", "ymin", "xmax", "ymax"):
                values.pop(corner, None)

    def end(tag: str) -> None:
        nonlocal is_inside
        said = "".join(text).strip()
        text.clear()
        is_inside = is_inside and tag != "object"
        if tag == "name":
            names.append(said)
        elif tag in _NUMBERS and _DIGITS.fullmatch(said):
            values[tag] = int(said)
        elif tag == "object" and "xmin" in values:
            found.append((list(names), dict(values)))
        elif tag == "object":
            counts["objects: without a box"] += 1

    def refused(*_: Any) -> None:
        raise InputRefused("An annotation declares entities of its own.", code="data_corrupt")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = parser.StartDoctypeDeclHandler = refused
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The last two are said of encodings that are not known, or that are no text.
        raise InputRefused("An annotation is no XML.", code="data_corrupt") from error
    if not values.get("width") or not values.get("height"):
        raise InputRefused("An annotation has no size.", code="data_corrupt")
    return (values["width"], values["height"]), found
