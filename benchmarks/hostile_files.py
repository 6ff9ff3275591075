"""Hostile files for `hostile.py`: checkpoints of models, questions of a batch and its answers, arbiters, settings.

Each is read by the product's own function, which takes it or raises one of zoomagent's errors. No model answers here.
"""

import os
import pickle
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from hostile_case import Case, spoiled, times, written

from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.rows import NoRow, Row, read_rows
from zoomagent.cli.settings import defaults_of_commands, settings
from zoomagent.confidence.arbiter import load
from zoomagent.confidence.features import Features
from zoomagent.errors import ZoomAgentError
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.local.in_process import InProcessModel

CHECKPOINTS, BATCHES, ARBITERS, SETTINGS = 400, 6_000, 3_000, 6_000
GARBAGE = (b"", b"\xff\xfe\x00", b"null", b"[]", b"7", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\x00" * 9)
TEMPLATES = (
    *("{% for", "", "<|image_pad|>", "{{ 1 // 0 }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ evil }}"),
    *("{{ raise_exception('no') }}", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{{ messages | evil }}"),
    *("{{ cycler.__init__.__globals__.os.system('touch HACKED') }}", "{{ lipsum.__globals__ }}", "{% include 'x' %}"),
)
FEATURES = (Features(), Features(agree=True), Features(agree=False, macro_valid=True, micro_valid=True))


def checkpoint_cases(scale: float) -> Iterator[Case]:
    """A folder of weights loads, or is refused; pickles are refused always, and nobody's code runs."""
    for number in times(CHECKPOINTS, scale):
        yield Case(f"checkpoint {number}", partial(_loaded, random.Random(f"checkpoint {number}")))


def _loaded(rng: random.Random) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder, proof = Path(place) / "model", Path(place) / "HACKED"
        shutil.copytree(NANO_WEIGHTS, folder)
        kind, weights = rng.randrange(6), folder / "model.safetensors"
        file = rng.choice(sorted(folder.glob("*.json")))
        if kind == 0:
            file.write_bytes(rng.choice(GARBAGE))
        elif kind in (1, 2):
            file.write_bytes(written(spoiled(orjson.loads(file.read_bytes()), rng), rng))
        elif kind == 3:
            (folder / "chat_template.jinja").write_text(rng.choice(TEMPLATES).replace("HACKED", str(proof)))
        elif kind == 4:
            content = bytearray(weights.read_bytes()[: rng.choice([None, 8, 100, -1, 20_000])])
            content[rng.randrange(min(200, len(content)))] ^= 1 << rng.randrange(8)
            weights.write_bytes(content)
        else:
            _pickle_weights(weights, pickle.dumps(Evil(f"touch {proof}"), rng.choice([2, 4, 5])), rng)
        try:
            InProcessModel(str(folder))
        except ZoomAgentError as error:
            return "code has run" if proof.exists() else _unwritable(error)
        return "code has run" if proof.exists() else "a pickle was taken" * (kind == 5)


@dataclass(frozen=True)
class Evil:
    """Whoever unpickles it runs the command."""

    command: str

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def _pickle_weights(weights: Path, evil: bytes, rng: random.Random) -> None:
    """The weights as a pickle: under the name of safetensors, as torch's zip, or as what an index names."""
    weights.unlink()
    way = rng.randrange(4)
    if way == 0:
        weights.write_bytes(evil)
    elif way == 1:
        with zipfile.ZipFile(weights, "w") as torch_file:
            torch_file.writestr("archive/data.pkl", evil)
    else:
        named = rng.choice(["pytorch_model.bin", "model.pt", "shard.safetensors", "../model.bin"])
        (weights.parent / Path(named).name).write_bytes(evil)
        if way == 2:
            index = {"metadata": {}, "weight_map": {"lm_head.weight": named}}
            weights.with_name("model.safetensors.index.json").write_bytes(orjson.dumps(index))


def _unwritable(error: ZoomAgentError) -> str:
    orjson.dumps(error.public)
    return ""


ROW = {"id": "a", "image": "a.png", "question": "What?", "options": ["red", "blue"], "answer": "red"}
DONE = {"id": "a", "row": "0123456789abcdef", "outcome": {"kind": "answered", "code": "answered"}, "text": "red"}


def batch_cases(scale: float) -> Iterator[Case]:
    """Every line of the questions is a row or told by its number, and good ones between bad ones are read; a file of
    answers is gone on with, or refused."""
    for number in times(BATCHES, scale):
        rng = random.Random(f"batch {number}")
        lines = [_line(ROW, rng) for _ in range(rng.randint(1, 5))]
        if number % 2:
            yield Case(f"rows {number}", partial(_rows, lines, rng.random() < 0.2))
        else:
            kept = rng.choice([b"{}", b"{}", b'{"model": "m"}', *GARBAGE, None])
            yield Case(f"answers {number}", partial(_answers, [_line(DONE, rng) for _ in lines], kept))


def _line(whole: dict[str, Any], rng: random.Random) -> bytes:
    line = written(spoiled(whole, rng), rng) if rng.random() < 0.8 else rng.choice([*GARBAGE, rng.randbytes(40)])
    return line.replace(b"\n", b" ")


def _rows(lines: list[bytes], as_array: bool) -> str:
    good = [orjson.dumps(ROW | {"id": name}) for name in ("first", "last")]
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        everything = [good[0], *lines, good[1]]
        file.write(b"[" + b",".join(everything) + b"]" if as_array else b"\n".join(everything))
        file.flush()
        try:
            rows = list(read_rows(Path(file.name)))
        except ZoomAgentError as error:
            return _unwritable(error)
    orjson.dumps([row.text if isinstance(row, NoRow) else row.digest for row in rows])
    read = [row.key for row in rows if isinstance(row, Row)]
    return "" if as_array or {"first", "last"} <= set(read) else f"good rows are lost: {read}"


def _answers(lines: list[bytes], kept: bytes | None) -> str:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "answers.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n" * (len(lines) % 2))
        if kept is not None:
            path.with_name("answers.jsonl.run.json").write_bytes(kept)
        try:
            with AnswerFile(path, {}) as file:
                orjson.dumps(file.tally.summary())
        except ZoomAgentError as error:
            return _unwritable(error)
    return ""


def arbiter_cases(scale: float) -> Iterator[Case]:
    """An arbiter judges with probabilities, or its file is refused."""
    nano = orjson.loads((files("zoomagent.confidence") / "arbiters" / "nano.json").read_bytes())
    for number in times(ARBITERS, scale):
        rng = random.Random(f"arbiter {number}")
        content = written(spoiled(nano, rng), rng) if rng.random() < 0.9 else rng.choice([*GARBAGE, rng.randbytes(99)])
        yield Case(f"arbiter {number}", partial(_judged, content))


def _judged(content: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(content)
        file.flush()
        try:
            arbiter = load(file.name)
        except ZoomAgentError as error:
            return _unwritable(error)
    assert arbiter is not None
    sure = [arbiter.judge(features).confidence for features in FEATURES]
    sure += [arbiter.gate_confidence(features) for features in FEATURES]
    return "" if all(0 < value < 1 for value in sure) else f"no probabilities: {sure}"


LINES = (
    *(f"{name} = 0x{'f' * 9000}" for name in ("model", "deadline", "max_tokens", "extra_body.a")),
    *('model = "nano"', "max_calls = 8", "deadline = 3", "extra_body = {a = 1}", 'arbiter = "~/a.json"', "gate = nan"),
    *("deadline = inf", "max_calls = true", "max_calls = " + "9" * 5000, 'model = "\\u0000"', "[ask]", "a.b.c = 1"),
    *('model = """', "extra_body = " + "[" * 5000, "extra_body = {a = " * 3000, 'strategy = "x"', "model = 1979-05-27"),
    *(
        'arbiter = "~no such user/x"',
        "= 1",
        "#\x01",
        "\ufeff",
        "extra_body = {a = 1979-05-27}",
        "model.x = 1",
        "max_calls = 0x1",
    ),
)


def setting_cases(scale: float) -> Iterator[Case]:
    """A settings file gives defaults for the commands, or is refused."""
    for number in times(SETTINGS, scale):
        rng = random.Random(f"setting {number}")
        content = "\n".join(rng.sample(LINES, rng.randint(1, 3))).encode()
        for _ in range(rng.choice([0, 0, 1, 3])):
            at = rng.randrange(len(content) + 1)
            content = content[:at] + rng.choice([b"", b'"', b"[", b"\xff", b"\n", rng.randbytes(1)]) + content[at + 1 :]
        yield Case(f"setting {number}", partial(_set, content))


def _set(content: bytes) -> str:
    before = os.environ.get("ZOOMAGENT_CONFIG")
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        os.environ["ZOOMAGENT_CONFIG"] = file.name
        try:
            found = defaults_of_commands(settings())
        except ZoomAgentError as error:
            return _unwritable(error)
        finally:
            del os.environ["ZOOMAGENT_CONFIG"]
            if before is not None:
                os.environ["ZOOMAGENT_CONFIG"] = before
    return "" if "ask" in found else "no defaults"


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    "checkpoints": checkpoint_cases,
    "batch files": batch_cases,
    "arbiters": arbiter_cases,
    "settings": setting_cases,
}
