"""Ask the agent as if it were a model, with OpenAI's own client: `python examples/openai_client.py [BASE_URL]`.

zoomagent serve openai        # in another terminal: http://127.0.0.1:8200/v1
"""

import base64
import os
import sys
from pathlib import Path

import openai

import zoomagent

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def main(base_url: str = "http://127.0.0.1:8200/v1") -> None:
    client = openai.OpenAI(base_url=base_url, api_key=os.environ.get("ZOOMAGENT_API_KEY", "none"))
    url = f"data:image/jpeg;base64,{base64.b64encode(SCENE.read_bytes()).decode()}"
    stream = client.chat.completions.create(
        model="zoomagent",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "text", "text": "What is written on the yellow circle?"},
                ],
            }
        ],
        extra_body={"zoomagent": {"strategy": "search"}},
        stream=True,
    )
    for chunk in stream:
        for choice in chunk.choices:
            thought = (choice.delta.model_extra or {}).get("reasoning_content")
            print(thought or "", choice.delta.content or "", sep="", end="")
        record = (chunk.model_extra or {}).get("zoomagent")
        if record:
            print("\nconfidence", record["confidence"], "boxes", record["boxes"])


if __name__ == "__main__":
    main(*sys.argv[1:])
