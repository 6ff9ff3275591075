"""How fast training views are drawn on one core: `python benchmarks/views.py [N]`. Training rows included."""

import sys
import time
from collections.abc import Callable

import cv2

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import SMALL, draw_scene
from zoomagent.training.nano import model as nano
from zoomagent.training.nano.corpus import PHRASES, corpus
from zoomagent.training.nano.located import crop_region
from zoomagent.training.nano.mix import Mix, Shapes


def rate(work: Callable[[int], object], count: int) -> float:
    """Calls per second."""
    work(0)
    start = time.perf_counter()
    for index in range(count):
        work(index)
    return count / (time.perf_counter() - start)


def main(count: int = 300) -> None:
    cv2.setNumThreads(1)
    scenes = [draw_scene(SMALL, 1, index) for index in range(count)]
    mix = Mix(nano.build_tokenizer(corpus(SMALL), PHRASES), nano.SMALL, SMALL, 1, Shapes())
    print(f"whole views of 128 px: {rate(lambda i: render(scenes[i], 128, 128), count):.0f} views/s")
    crops = [crop_region(scene.items[0].box) for scene in scenes]
    print(f"crops of 80 px: {rate(lambda i: render(scenes[i], 80, 80, crops[i]), count):.0f} views/s")
    views = sum(len(mix.row(index).looks) for index in range(count)) / count
    rows = rate(mix.row, count)
    print(f"training rows ({views:.1f} views each, dense targets): {rows:.0f} rows/s, {views * rows:.0f} views/s")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
