"""The steps of a run as they happen, then the answer: `python examples/streaming.py`."""

import json
from pathlib import Path

import zoomagent

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"


def main() -> None:
    question = json.loads((EXAMPLE / "question.json").read_text())["question"]
    with zoomagent.ZoomAgent() as agent:
        for item in agent.stream(EXAMPLE / "scene.jpg", question):
            if isinstance(item, zoomagent.Step):
                print(f"{item.name:10} {item.text}")
            else:
                sure = "no confidence" if item.confidence is None else f"{item.confidence:.2f}"
                print(f"answer     {item.text}, with {sure} after {item.cost.model_calls} calls")


if __name__ == "__main__":
    main()
