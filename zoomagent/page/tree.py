"""The tree of views of a run, as plain values: what was shown, what it was cut from, what was found there.

    root = tree(answer)         # the whole picture, its children, theirs

Views of one box are one node, whatever sizes they were shown at. Of a clip the whole is nine frames of all of it; below
are sheets of shorter moments, each in the shortest that holds it, and boxes in them. Regions that a search thought of
and did not look at are counted, not listed. Left out: pixels (`pictures.py`), HTML (`run_html.py`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zoomagent.media.sound.sound import CELL
from zoomagent.moments import GRID, Moment, seconds, words
from zoomagent.page.names import sheet_name
from zoomagent.run_record import Corners, Evidence, Looked, PictureInfo, Region, RunRecord, SheetInfo, Step

Place = tuple[SheetInfo | None, Corners]
"""A box, and the frames of a clip that it lies in (None: the picture)."""

MOST = 60
"""Views shown in a tree; the rest is counted."""

FATES = {
    "open": "not followed",
    "split": "not settled, so its parts came next",
    "refuted": "ruled out",
    "found": "found, and pointed at",
}


@dataclass
class Node:
    """A box that the model was shown. `number` counts in the order of looking, 0 is the whole; `source` is the view it
    was cut from; `crop` numbers the files crop-N.png; `skipped` parts of this region were not looked at. Of a clip
    `sheet` says in which frames the box lies; `whole`: it is all of them, or of the picture."""

    number: int
    box: Corners
    source: str
    sheet: SheetInfo | None = None
    whole: bool = False
    sizes: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0
    regions: list[Region] = field(default_factory=list)
    evidence: Evidence | None = None
    crop: int | None = None
    skipped: int = 0
    children: list["Node"] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.sheet, self.box

    @property
    def title(self) -> str:
        if self.number == 0:
            return f"The whole {'picture' if self.sheet is None else 'sound' if self.sheet.heard else 'clip'}"
        if self.sheet is not None and self.whole:
            return frames_words(self.sheet)
        if self.crop is not None:
            return f"Crop {self.crop}"
        return "A region searched" if self.regions else "A closer look"


def tree(answer: RunRecord) -> Node | None:
    """The whole picture, or clip, and everything below it; None for a run without a picture."""
    picture = answer.picture
    if picture is None:
        return None
    # A node for every box, the whole first, in the order of looking; one in frames comes after all of these.
    nodes: dict[Place, Node] = {}

    def node_at(sheet: SheetInfo | None, box: Corners, source: str = "") -> Node:
        for one in dict.fromkeys((whole_box(picture, sheet), box)):
            is_whole = one == whole_box(picture, sheet)
            nodes.setdefault((sheet, one), Node(len(nodes), one, "" if one != box else source, sheet, is_whole))
        return nodes[sheet, box]

    top = whole_sheet(picture)
    root = node_at(top, whole_box(picture, top))
    own = picture.sheet
    essential = {(item.sheet or own, item.box) for item in answer.evidence}
    views = _views(answer)
    for place, looked in views:
        if place in nodes or len(nodes) < MOST or place in essential:
            node = node_at(*place, looked.source)
            if looked.size not in node.sizes:
                node.sizes.append(looked.size)
    # What was found there.
    for region in answer.regions:
        if region.here is not None and (own, region.box) in nodes:
            node = nodes[own, region.box]
            node.regions.append(region)
            node.skipped += sum(part.parent == region.id and part.here is None for part in answer.regions)
    crops = [item for item in answer.evidence if item.perspective == "micro"]
    for number, item in enumerate(crops, start=1):
        if (place := (item.sheet or own, item.box)) in nodes:
            node = nodes[place]
            node.evidence, node.crop = item, number
    places = {looked.view: place for place, looked in views}
    for node in list(nodes.values())[1:]:
        parent = root
        if not node.whole:
            parent = nodes[node.sheet, whole_box(picture, node.sheet)]
            above = nodes.get(places.get(node.source, parent.place), parent)
            if above.sheet == node.sheet and above.number < node.number and _area(above.box) > _area(node.box):
                parent = above
        elif node.sheet is not None:
            parent = min(_around(node, nodes.values()), key=lambda one: _length(one.sheet), default=root)
        parent.children.append(node)
        node.depth = parent.depth + 1
    return root


def whole_sheet(picture: PictureInfo) -> SheetInfo | None:
    """Nine frames of all of the clip that a picture is of; None where it is of none."""
    sheet = picture.sheet
    return sheet and sheet.model_copy(update={"moment": (0, sheet.duration), "grid": GRID, "hidden": ()})


def whole_box(picture: PictureInfo, sheet: SheetInfo | None) -> Corners:
    """All of the picture, or of another sheet of its clip."""
    if sheet is None or picture.sheet is None:
        return (0, 0, picture.width, picture.height)
    if sheet.heard and not picture.sheet.heard:
        return (0, 0, CELL.width * sheet.grid, CELL.height * sheet.grid)
    own = picture.sheet.grid
    return (0, 0, picture.width // own * sheet.grid, picture.height // own * sheet.grid)


def frames_words(sheet: SheetInfo) -> str:
    """Which frames a sheet is made of."""
    moment, grey = Moment(*sheet.moment), ", some of it grey" if sheet.hidden else ""
    if sheet.heard:
        return f"The sound, {words(moment)}{grey}"
    if sheet.grid == 1:
        return f"The frame at {seconds(moment.middle)}"
    return f"{sheet.grid**2} frames, {words(moment)}{grey}"


def key_of(place: Place) -> str:
    """A box's name in a page: its corners, behind the name of the frames that it lies in."""
    sheet, box = place
    corners = ",".join(map(str, box))
    return corners if sheet is None else f"{sheet_name(sheet)}/{corners}"


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before its children."""
    yield node
    for child in node.children:
        yield from walk(child)


def path(root: Node) -> list[Node]:
    """The way from below the whole to the last crop that was answered from; empty when nothing was zoomed into."""
    ways = [way for way in _ways(root, []) if way and way[-1].crop is not None]
    return [node for node in max(ways, key=lambda way: way[-1].crop or 0, default=[]) if not node.whole]


def places_of_views(answer: RunRecord) -> dict[str, Place]:
    """Where each view that was shown lies."""
    return {looked.view: (looked.sheet, looked.box) for looked in answer.frames} | {
        looked.view: (answer.picture.sheet if answer.picture else None, looked.box) for looked in answer.views
    }


def first_steps(answer: RunRecord) -> dict[Place, tuple[int, Step]]:
    """The step that looked at each box first, and its number."""
    places = places_of_views(answer)
    found: dict[Place, tuple[int, Step]] = {}
    for number, step in enumerate(answer.steps, start=1):
        for view in step.views:
            if view in places:
                found.setdefault(places[view], (number, step))
    return found


def shown_size(node: Node) -> tuple[int, int]:
    """The size at which the model saw the node's box; its own where it was not shown by itself."""
    if node.evidence:
        return node.evidence.size
    return node.sizes[0] if node.sizes else (node.box[2] - node.box[0], node.box[3] - node.box[1])


def fate_words(region: Region, node: Node) -> str:
    """What came of a region, in words."""
    if region.fate == "split" and not node.children:
        return "not settled, and other regions came first"
    return FATES[region.fate]


def _views(answer: RunRecord) -> list[tuple[Place, Looked]]:
    """The views that were shown, and where each lies; the evidence too, for an answer that was kept without them."""
    own = answer.picture.sheet if answer.picture else None
    shown = [Looked(view=e.view, source="", box=e.box, size=e.size, depth=e.depth) for e in answer.evidence]
    elsewhere: list[tuple[Place, Looked]] = [((looked.sheet, looked.box), looked) for looked in answer.frames]
    return [*elsewhere, *(((own, looked.box), looked) for looked in answer.views or shown)]


def _around(node: Node, nodes: Iterable[Node]) -> Iterator[Node]:
    """The sheets that were looked at before and show a longer moment, in which the node's lies. A frame alone stands
    for a time, and holds no others; frames and sounds do not hold each other."""
    for one in nodes:
        if one.number < node.number and one.whole and _length(one.sheet) > _length(node.sheet):
            around, inside = one.sheet, node.sheet
            assert around is not None and inside is not None, "longer than none"
            holds = around.moment[0] <= inside.moment[0] and inside.moment[1] <= around.moment[1]
            if holds and around.heard == inside.heard and (around.grid > 1 or around.heard):
                yield one


def _length(sheet: SheetInfo | None) -> int:
    return 0 if sheet is None else sheet.moment[1] - sheet.moment[0]


def _ways(node: Node, so_far: list[Node]) -> Iterator[list[Node]]:
    yield so_far
    for child in node.children:
        yield from _ways(child, [*so_far, child])


def _area(box: Corners) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
