"""One question about the packaged 4K picture: `python examples/one_question.py`."""

import json
from pathlib import Path

import zoomagent

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"


def main() -> None:
    question = json.loads((EXAMPLE / "question.json").read_text())["question"]
    with zoomagent.ZoomAgent() as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", question)
    print(question, answer.text, answer.confidence, answer.perspective, answer.boxes)
    print(*answer.reasons, sep="\n")
    for look in answer.evidence:
        print(look.perspective, look.box, "zoomed", look.depth, "times; mattered:", look.mattered)


if __name__ == "__main__":
    main()
