"""A file of questions, answered by `zoomagent batch`, which goes on after a kill: `python examples/batch_file.py`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import zoomagent

PICTURES = Path(zoomagent.__file__).parent / "data" / "example"
ROWS = [
    {"id": "circle", "image": "scene.jpg", "question": "What is written on the yellow circle?", "answer": "21"},
    {"id": "nothing", "image": "no-such-file.jpg", "question": "What is written there?"},
]


def main(folder: Path) -> None:
    questions, answers = folder / "questions.jsonl", folder / "answers.jsonl"
    questions.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    command = [sys.executable, "-m", "zoomagent.cli", "batch", str(questions), "--out", str(answers)]
    subprocess.run([*command, "--strategy", "search", "--root", str(PICTURES)], check=True)
    for line in answers.read_text().splitlines():
        row = json.loads(line)
        print(f"{row['id']}: {row['answer']!r} {row['code'] or row['outcome']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
