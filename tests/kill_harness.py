"""Kill runs at random moments and resume them: what comes out must be what comes out undisturbed.

    python tests/kill_harness.py --kills 30 --seed 1 --folder /tmp/kills --strategy auto

A parent that has everything imported forks a child that answers one question after the other with a checkpoint file.
After a random number of model calls and a random moment more it kills the child (SIGKILL); the next one goes on.
Afterwards every answer is compared with that of a run that nobody disturbed, and every call the model received is
counted. Prints the counts as JSON; `test_kill_resume.py` judges.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Token, Usage
from zoomagent.models.profiles import NANO
from zoomagent.prompts import CUES
from zoomagent.tools.verifying import YES_NO

SCRIPTS: tuple[tuple[Any, ...], ...] = (
    ("Exit", ["[400, 400, 450, 450]"], "Exit 12", [-3.0, -0.1]),
    ("Exit", ["over there", "[100, 700, 180, 760]"], "Car", [-0.2, -4.0]),
    ("Exit", ["[1, 2]", "nowhere"], "never asked", []),
    ("Exit", ["[0, 0, 90, 90]"], "exit.", []),
)
"""What the model says: macro, its boxes, micro, its scores. Question i follows script i mod 4."""


PARTS = [-2.9] * 5 + [-0.7] + [-2.9] * 4
"""Part five, more often than not: a search goes on for a few regions."""
SEEN = [-0.1, -4.0]


class Scripted:
    """Answers by the question's number, the same every time, after a moment; every call is logged before its answer."""

    name = "scripted"
    profile = NANO

    def __init__(self, log: Path, signal_to: int | None = None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._signal_to = signal_to

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        number, script = self._script(messages)
        views = sum(isinstance(part, Pixels) for message in messages for part in message.parts)
        replies = sum(message.role == "assistant" for message in messages)
        first = _text(messages[0])
        box_turn = "[x1, y1, x2, y2]" in first
        text = script[2] if views == 2 else script[1][replies] if box_turn else script[0]
        text = f"number {number}?" if first.startswith(CUES) and views == 1 else text
        await self._called(number, f"generate {views} {replies} {box_turn}")
        return [Reply(text, "stop", tuple(Token(word, -0.25) for word in text.split()), usage=Usage(40, 4))]

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood] | None:
        number, script = self._script(messages)
        await self._called(number, "score")
        values = {1: [-3.0], 2: script[3], 10: PARTS}[len(continuations)]
        return [Likelihood(value, 1) for value in (SEEN if tuple(continuations) == YES_NO else values)]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _script(self, messages: Sequence[Message]) -> tuple[int, tuple[Any, ...]]:
        number = int(_text(messages[0]).split("number ")[1].split("?")[0])
        return number, SCRIPTS[number % len(SCRIPTS)]

    async def _called(self, number: int, what: str) -> None:
        os.write(self._log, f"{number} {os.getpid()} {what}\n".encode())
        if self._signal_to is not None:
            os.write(self._signal_to, b".")
        await asyncio.sleep(0.003)


def _text(message: Message) -> str:
    return "".join(getattr(part, "text", "") for part in message.parts)


def answer_questions(folder: Path, ready: int, last: int, strategy: Any) -> None:
    """The child: go on after the last recorded answer. A record is one line, written at once."""
    image = Image.new("RGB", (800, 600), (40, 90, 140))
    records = folder / "answers.jsonl"
    done = len(records.read_bytes().splitlines()) if records.exists() else 0
    log = os.open(records, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    model = Scripted(folder / "calls.log", ready)
    agent = ZoomAgent(model, strategy=strategy, checkpointer=folder / "runs.sqlite")
    os.write(ready, b"!")
    for number in range(done, last):
        answer = agent.ask(image, f"What is number {number}?", thread_id=f"run-{number}")
        os.write(log, f"{json.dumps(comparable(answer))}\n".encode())


def comparable(answer: Answer) -> dict[str, Any]:
    """Everything that must be the same however often the run was killed: all but the clock."""
    record = answer.model_dump(mode="json", exclude={"cost": {"seconds", "seconds_in_model"}, "made": {"at"}})
    for step in record["steps"]:
        del step["seconds"]
    return record


def child(folder: Path, last: int, strategy: str) -> tuple[int, int]:
    """A forked child that is ready, and the pipe on which it reports every model call."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reads)
        answer_questions(folder, writes, last, strategy)
        os._exit(0)
    os.close(writes)
    os.read(reads, 1)
    return pid, reads


def disturb(folder: Path, kills: int, seed: int, strategy: str) -> None:
    """Kill `kills` children, each at a random moment of its work, then let one finish."""
    chance = random.Random(seed)
    for _ in range(kills):
        pid, pipe = child(folder, 10**6, strategy)
        for _ in range(chance.randrange(7)):
            os.read(pipe, 1)
        time.sleep(chance.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pipe)
    begun = max((int(line.split()[0]) for line in (folder / "calls.log").read_text().splitlines()), default=0)
    pid, pipe = child(folder, begun + 1, strategy)
    _, status = os.waitpid(pid, 0)
    os.close(pipe)
    assert status == 0, f"the last child ended with status {status}"


def undisturbed(folder: Path, count: int, strategy: Any) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """The answers of the first questions when nobody kills, and the calls that each kind of question takes."""
    image = Image.new("RGB", (800, 600), (40, 90, 140))
    model, kept = Scripted(folder / "reference.log"), folder / "reference.sqlite"
    with ZoomAgent(model, strategy=strategy, checkpointer=kept) as agent:
        answers = [
            comparable(agent.ask(image, f"What is number {i}?", thread_id=f"run-{i}"))
            for i in range(min(count, len(SCRIPTS)))
        ]
    return answers, {i: answer["cost"]["model_calls"] for i, answer in enumerate(answers)}


def report(folder: Path, kills: int, strategy: str) -> dict[str, int]:
    """Compare and count."""
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    reference, price = undisturbed(folder, len(answers), strategy)
    calls: Counter[int] = Counter()
    children: defaultdict[int, set[str]] = defaultdict(set)
    for line in (folder / "calls.log").read_text().splitlines():
        number, pid, _ = line.split(" ", 2)
        calls[int(number)] += 1
        children[int(number)].add(pid)
    return {
        "kills": kills,
        "runs": len(answers),
        "runs_killed_inside": sum(len(pids) > 1 for pids in children.values()),
        "lost": sum(answer["thread_id"] != f"run-{i}" for i, answer in enumerate(answers)),
        "wrong": sum(not _same(answer, reference, i) for i, answer in enumerate(answers)),
        "repeated_calls": sum(calls[i] - price[i % len(SCRIPTS)] for i in range(len(answers))),
    }


def _same(answer: dict[str, Any], reference: list[dict[str, Any]], number: int) -> bool:
    """Equal but for the number in question and thread, wherever it is repeated."""
    like = number % len(SCRIPTS)
    said = json.dumps(answer).replace(f"number {number}?", f"number {like}?")
    return bool(json.loads(said) | {"thread_id": f"run-{like}"} == reference[like])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--strategy", default="dualfocus")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    disturb(arguments.folder, arguments.kills, arguments.seed, arguments.strategy)
    print(json.dumps(report(arguments.folder, arguments.kills, arguments.strategy)))


if __name__ == "__main__":
    main()
