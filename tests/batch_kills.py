"""Kill batches at random moments and resume them: every row must have one line, and the right one.

    python tests/batch_kills.py --kills 30 --seed 1 --folder /tmp/kills

A parent that has everything imported forks a child that runs the batch with a scripted model. After a random number of
its calls and a random moment more it is killed (SIGKILL), sometimes with a torn line left behind, as a machine leaves
one that loses power; the next child goes on. Prints counts as JSON; `test_batch_kills.py` judges.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoomagent.agent import ZoomAgent
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import Setup
from zoomagent.batch.rows import Row, read_rows
from zoomagent.batch.running import answer_all
from zoomagent.models.base import Likelihood, Message, Reply, Token, Usage
from zoomagent.models.profiles import NANO

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR4nGPUiOphIAUwkaR6VMOohiGl"
    "AQBsnQEuIn6jqgAAAABJRU5ErkJggg=="
)
"""16 by 16 pixels of blue."""
SETTINGS: dict[str, Any] = {"strategy": "macro", "proof": False}


class Numbered:
    """Answers with the question's own number after a moment, and tells of every call."""

    name = "numbered"
    profile = NANO

    def __init__(self, log: Path, signal_to: int) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._signal_to = signal_to

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        number = str(messages[0].parts[-1]).split("number ")[1].split("?")[0]
        os.write(self._log, f"{number}\n".encode())
        os.write(self._signal_to, b".")
        await asyncio.sleep(0.005)
        return [Reply(number, "stop", (Token(number, -0.1),), usage=Usage(10, 1))]

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood] | None:
        return None

    async def aclose(self) -> None:
        """Nothing to give back."""


def write_questions(path: Path, rows: int) -> None:
    lines = [{"id": f"row {i}", "image": PICTURE, "question": f"number {i}?", "answer": str(i)} for i in range(rows)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def run_batch(folder: Path, ready: int) -> None:
    """The child: all that `zoomagent batch` does, with a scripted model."""

    async def run() -> None:
        with (
            ZoomAgent(Numbered(folder / "calls.log", ready), **SETTINGS) as agent,
            AnswerFile(folder / "answers.jsonl", Setup(settings=SETTINGS).kept) as file,
        ):
            os.write(ready, b"!")

            async def ask(row: Row) -> Any:
                return await agent.aask(row.image, row.question, row.options)

            await answer_all(read_rows(folder / "questions.jsonl"), ask, file, concurrency=4)

    asyncio.run(run())


def disturb(folder: Path, kills: int, seed: int) -> None:
    """Start, kill after a random number of calls, until it was killed often enough; then to the end."""
    _warm(folder)
    chance = random.Random(seed)
    for _ in range(kills):
        calls = chance.randrange(0, 9)
        child, heard = _forked(folder)
        _listen(heard, calls)
        time.sleep(chance.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
        if chance.random() < 0.3:
            _tear(folder / "answers.jsonl", chance)
    child, heard = _forked(folder)
    while os.read(heard, 1 << 16):
        pass
    assert os.waitpid(child, 0)[1] == 0, "the last run must end by itself"


def _warm(folder: Path) -> None:
    """Run once here, where every child is forked from: what is imported late is then imported for all."""
    begun = folder / "begun"
    begun.mkdir()
    write_questions(begun / "questions.jsonl", 1)
    nobody = os.open(os.devnull, os.O_WRONLY)
    run_batch(begun, nobody)
    os.close(nobody)


def _forked(folder: Path) -> tuple[int, int]:
    heard, ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        status = 1
        try:
            run_batch(folder, ready)
            status = 0
        finally:
            os._exit(status)
    os.close(ready)
    return child, heard


def _listen(heard: int, calls: int) -> None:
    """Until the child has begun and made so many calls, or has ended."""
    for _ in range(1 + calls):
        if not os.read(heard, 1):
            return


def _tear(answers: Path, chance: random.Random) -> None:
    """What a machine that loses power may leave: the beginning of a line."""
    with answers.open("ab") as file:
        file.write(b'{"id": "row 1", "line": 2, "answer": "1", "outco'[: chance.randrange(1, 48)])


def report(folder: Path, rows: int, kills: int) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    seen = Counter(str(line["id"]) for line in lines)
    calls = Counter((folder / "calls.log").read_text().split())
    wrong = [line for line in lines if not _right(line)]
    return {
        "kills": kills,
        "rows": rows,
        "lost": sum(f"row {i}" not in seen for i in range(rows)),
        "doubled": sum(count > 1 for count in seen.values()),
        "wrong": len(wrong),
        "asked_again": calls.total() - rows,
    }


def _right(line: Mapping[str, Any]) -> bool:
    return bool(line["right"]) and line["id"] == f"row {line['answer']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = 8 * arguments.kills
    write_questions(arguments.folder / "questions.jsonl", rows)
    disturb(arguments.folder, arguments.kills, arguments.seed)
    print(json.dumps(report(arguments.folder, rows, arguments.kills)))


if __name__ == "__main__":
    main()
