"""A scene as an open picture whose views are drawn when they are asked for: no 4K canvas is ever made.

    picture = drawn_picture(scene, 4096, "scene 7")

What averaging a full picture down gives is drawn directly (`render.py`), so views are like those of the stored picture,
whose noise is of one piece, not equal to them. For calibration; benches that are reported look at real pixels.
"""

from collections.abc import Iterator, Sequence

from PIL import Image

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Scene
from zoomagent.geometry import Size
from zoomagent.media.picture import Picture, Request


class Drawn:
    """Satisfies `zoomagent.media.picture.Pixels`."""

    def __init__(self, scene: Scene, side: int) -> None:
        self._scene, self._side = scene, side

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for box, size in requests:
            left, top, right, bottom = (v / self._side for v in box.as_list())
            region = (left, top, right, bottom)
            yield Image.fromarray(render(self._scene, size.width, size.height, region, full_side=self._side))

    def prepare(self) -> None:
        """All is ready."""

    def close(self) -> None:
        """Nothing to give back."""


def drawn_picture(scene: Scene, side: int, name: str) -> Picture:
    """The scene as a picture of `side` x `side` pixels, called `name`."""
    return Picture(name, Size(side, side), (), Drawn(scene, side))
