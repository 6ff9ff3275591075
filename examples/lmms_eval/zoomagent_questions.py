"""The questions of `zoomagent bench export`, or of any batch with answers, as a task of lmms-eval, for any model.

    pip install lmms-eval                        # best in an environment of its own
    zoomagent bench export --set vstar --data vstar_bench --out runs/vstar && cd runs/vstar
    zoomagent serve openai --model URL#NAME --port 8200 &
    lmms-eval --include_path …/examples/lmms_eval --tasks zoomagent_questions --batch_size 1 --model async_openai \
      --model_args model_version=zoomagent,base_url=http://127.0.0.1:8200/v1,api_key=none

`model_version=zoomagent-macro` is the same model without a closer look; base_url may be any other endpoint. lmms-eval's
own tasks (vstar_bench, hrbench4k …) take the same two arguments. Questions with options are asked for a letter. Left
out: pictures in more than one piece, and answers that a model would have to judge.
"""

from pathlib import Path
from typing import Any

from PIL import Image

HINT = "Answer with the option's letter from the given choices directly."


def pictures(doc: dict[str, Any]) -> list[Image.Image]:
    """The picture at its path, which may be relative to the folder lmms-eval runs in."""
    return [Image.open(Path(doc["image"])).convert("RGB")]


def words(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """The question; with options, lettered, and asked for a letter."""
    options = doc.get("options") or []
    listed = [f"{chr(65 + i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([doc["question"], *listed, *([HINT] if options else [])])


def messages(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """One turn: the picture, then the words."""
    content = [{"type": "image", "url": pictures(doc)[0]}, {"type": "text", "text": words(doc)}]
    return [{"role": "user", "content": content}]


def judged(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1 where the reply is a right answer's words, or begins with the right option's letter; else 0."""
    reply = results[0].strip()
    wanted = doc["answer"] if isinstance(doc["answer"], list) else [doc["answer"]]
    options = doc.get("options") or []
    letter = chr(65 + options.index(wanted[0])) if options else ""
    named = bool(letter) and reply.strip("( ")[:1].upper() == letter and not reply.strip("( ")[1:2].isalnum()
    return {"right": float(named or reply.casefold().strip(" .") in {one.casefold().strip(" .") for one in wanted})}
