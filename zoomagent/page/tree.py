"""The tree of views of a run, as plain values: what was shown, what it was cut from, what was found there.

    root = tree(answer)         # the whole picture, its children, theirs

Views of one box are one node, whatever sizes they were shown at. Regions that a search thought of and did not look at
are counted, not listed. Left out: pixels (`pictures.py`), HTML (`run_html.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from zoomagent.run_record import Corners, Evidence, Looked, Region, RunRecord, Step

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
    was cut from; `crop` numbers the files crop-N.png; `skipped` parts of this region were not looked at."""

    number: int
    box: Corners
    source: str
    sizes: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0
    regions: list[Region] = field(default_factory=list)
    evidence: Evidence | None = None
    crop: int | None = None
    skipped: int = 0
    children: list["Node"] = field(default_factory=list)

    @property
    def title(self) -> str:
        if self.number == 0:
            return "The whole picture"
        if self.crop is not None:
            return f"Crop {self.crop}"
        return "A region searched" if self.regions else "A closer look"


def tree(answer: RunRecord) -> Node | None:
    """The whole picture and everything below it; None for a run without a picture."""
    if answer.picture is None:
        return None
    # A node for every box, the whole first, in the order of looking.
    whole = (0, 0, answer.picture.width, answer.picture.height)
    nodes: dict[Corners, Node] = {whole: Node(0, whole, "")}
    essential = {item.box for item in answer.evidence}
    for looked in _views(answer):
        if looked.box not in nodes and len(nodes) >= MOST and looked.box not in essential:
            continue
        node = nodes.setdefault(looked.box, Node(len(nodes), looked.box, looked.source))
        if looked.size not in node.sizes:
            node.sizes.append(looked.size)
    # What was found there.
    for region in answer.regions:
        if region.here is not None and region.box in nodes:
            node = nodes[region.box]
            node.regions.append(region)
            node.skipped += sum(part.parent == region.id and part.here is None for part in answer.regions)
    crops = [item for item in answer.evidence if item.perspective == "micro"]
    for number, item in enumerate(crops, start=1):
        if item.box in nodes:
            nodes[item.box].evidence, nodes[item.box].crop = item, number
    boxes = {looked.view: looked.box for looked in _views(answer)}
    root, *rest = nodes.values()
    for node in rest:
        above = nodes.get(boxes.get(node.source, root.box), root)
        fits = above.number < node.number and _area(above.box) > _area(node.box)
        parent = above if fits else root
        parent.children.append(node)
        node.depth = parent.depth + 1
    return root


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before its children."""
    yield node
    for child in node.children:
        yield from walk(child)


def path(root: Node) -> list[Node]:
    """The way from below the whole to the last crop that was answered from; empty when nothing was zoomed into."""
    ways = [way for way in _ways(root, []) if way and way[-1].crop is not None]
    return max(ways, key=lambda way: way[-1].crop or 0, default=[])


def first_steps(answer: RunRecord) -> dict[Corners, tuple[int, Step]]:
    """The step that looked at each box first, and its number."""
    boxes = {looked.view: looked.box for looked in answer.views}
    found: dict[Corners, tuple[int, Step]] = {}
    for number, step in enumerate(answer.steps, start=1):
        for view in step.views:
            if view in boxes:
                found.setdefault(boxes[view], (number, step))
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


def _views(answer: RunRecord) -> tuple[Looked, ...]:
    """The views that were shown; the evidence alone for an answer that was kept without them."""
    shown = (Looked(view=e.view, source="", box=e.box, size=e.size, depth=e.depth) for e in answer.evidence)
    return answer.views or tuple(shown)


def _ways(node: Node, so_far: list[Node]) -> Iterator[list[Node]]:
    yield so_far
    for child in node.children:
        yield from _ways(child, [*so_far, child])


def _area(box: Corners) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
