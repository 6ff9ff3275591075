"""Several questions at once, one of them wrong on purpose: `python examples/several_questions.py`.

For whole files of questions, resumable: `zoomagent batch`.
"""

from pathlib import Path

import zoomagent
from zoomagent import Item

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def main() -> None:
    items: list[Item] = [
        (SCENE, "What is written on the yellow circle?"),
        (SCENE, "What is written on the yellow circle?", ["21", "34"]),
        (SCENE, "  "),
    ]
    with zoomagent.ZoomAgent(strategy="search") as agent:
        for item, answer in zip(items, agent.batch(items, concurrency=2), strict=True):
            print(f"{item[1:]}: {answer.text!r}, {answer.outcome.kind} {answer.outcome.code or ''}")


if __name__ == "__main__":
    main()
