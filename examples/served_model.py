"""Ask a model that any OpenAI-compatible server serves, vLLM say: `python examples/served_model.py URL#NAME`.

vllm serve Qwen/Qwen3-VL-8B-Instruct --limit-mm-per-prompt '{"image": 8}' --max-logprobs 20
python examples/served_model.py http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct
"""

import sys
from pathlib import Path

import zoomagent

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def main(model: str) -> None:
    budget = zoomagent.Budget(seconds=60)
    with zoomagent.ZoomAgent(model, budget=budget) as agent:
        answer = agent.ask(SCENE, "What is written on the yellow circle?")
    print(answer.outcome.kind, answer.text, answer.confidence, answer.confidence_from)
    print(*answer.reasons, sep="\n")
    raise SystemExit(answer.outcome.exit_status)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__))
