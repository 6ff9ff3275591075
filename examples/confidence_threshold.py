"""Rather no answer than a wrong one: `python examples/confidence_threshold.py`.

`target_error` is the share of given answers that may be wrong. What is not sure enough is "Cannot tell", and `withheld`
keeps what would have been said. The agent with other settings shares the model.
"""

from pathlib import Path

import zoomagent

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"
QUESTION = "What is written on the yellow circle?"


def main() -> None:
    with zoomagent.ZoomAgent(strategy="search") as agent:
        for target in (None, 0.1, 0.01):
            answer = agent.using(target_error=target).ask(SCENE, QUESTION)
            sure = "unknown" if answer.confidence is None else f"{answer.confidence:.3f}"
            print(f"at most {target} wrong: {answer.text!r} ({sure}), withheld: {answer.withheld!r}")


if __name__ == "__main__":
    main()
