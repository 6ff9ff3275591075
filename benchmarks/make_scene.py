"""Draw one scene of the synthetic world with one question about the text on one of its things.

    python benchmarks/make_scene.py OUT --level deep --seed 2026 --scene 8        # writes scene.jpg and question.json
    python benchmarks/make_scene.py zoomagent/data/example --level deep --seed 2026 --scene 8    # the packaged example

The same numbers give the same bytes. At level `deep` the smallest things are 2 pixels in nano's view of the whole:
they can be found only by a zoom inside a zoom. Left out: many scenes at once (`zoomagent data world`).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoomagent.data.world.questions import Question, ask
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import LEVELS, SPLITS, Item, Scene, draw_scene

SIDE, QUALITY = 4096, 92


def question_about(scene: Scene, level: str, seed: int, index: int) -> Question | None:
    """The question about the smallest text that one thing alone carries; None where every name is there twice."""
    drawn = (ask("read", scene, LEVELS[level], np.random.default_rng([seed, index, n])) for n in range(24))
    asked = [question for question in drawn if question is not None]
    return min(asked, key=lambda question: scene.items[question.targets[0]].size, default=None)


def described(scene: Scene, level: str, seed: int, index: int) -> dict[str, Any]:
    """What question.json says: the question, its answer, where it is read, and how the picture is drawn again."""
    question = question_about(scene, level, seed, index)
    if question is None:
        raise SystemExit(f"Scene {index} has no thing of a name of its own. Take another.")
    return {
        "question": question.text,
        "answer": question.answer,
        "box": box_of(scene.items[question.targets[0]]),
        "made_by": f"python benchmarks/make_scene.py OUT --level {level} --seed {seed} --scene {index}",
    }


def write(out: Path, level: str, seed: int, index: int) -> dict[str, Any]:
    """Write scene number `index` of the test world `seed`, never seen in training, and its question."""
    scene = draw_scene(LEVELS[level], SPLITS["test"] + seed, index)
    told = described(scene, level, seed, index)
    out.mkdir(parents=True, exist_ok=True)
    picture = render(scene, SIDE, SIDE, full_side=SIDE)
    cv2.imwrite(str(out / "scene.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    (out / "question.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return told


def box_of(item: Item) -> list[int]:
    """The thing's corners in pixels of the picture."""
    return [round(edge * SIDE) for edge in item.box]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--level", choices=LEVELS, default="deep")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--scene", type=int, default=8)
    given = parser.parse_args()
    told = write(given.out, given.level, given.seed, given.scene)
    print(f"{given.out / 'scene.jpg'}\n{told['question']}  {told['answer']}")


if __name__ == "__main__":
    main()
