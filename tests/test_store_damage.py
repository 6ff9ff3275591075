"""Checkpoints that are damaged, or somebody else's: a run on one of them ends as `checkpoint_corrupt`, and never in
an answer that was not earned.
"""

import contextlib
import copy
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from fake_model import Call, FakeModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from PIL import Image

from zoomagent import Answer, ZoomAgent
from zoomagent.store import SealedSerializer

Agent = partial(ZoomAgent, strategy="dualfocus")
QUESTION = "What is written on the sign?"
IMAGE = Image.new("RGB", (1600, 1200), "grey")


def respond(call: Call) -> str:
    if call.text.count("[x1, y1, x2, y2]") and len(call.views) == 1:
        return "[500, 500, 600, 600]"
    return "Exit 12" if len(call.views) == 2 else "Exit"


def breaks_off(call: Call) -> Any:
    return KeyError("stopped") if len(call.views) == 2 else respond(call)


def model_of(reply: Callable[[Call], Any] = respond) -> FakeModel:
    return FakeModel(respond=reply, respond_score=lambda call: [-3.0, -0.1])


def ask(checkpointer: Any, reply: Callable[[Call], Any] = respond, thread: str = "one") -> Answer:
    with Agent(model_of(reply), checkpointer=checkpointer) as agent:
        return agent.ask(IMAGE, QUESTION, thread_id=thread)


@pytest.fixture(scope="module", params=["ended", "broken off"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a run that has ended, or was broken off."""
    path = tmp_path_factory.mktemp("kept") / "runs.sqlite"
    if request.param == "ended":
        assert ask(path).answered
    else:
        with pytest.raises(KeyError):
            ask(path, breaks_off)
    return path


@pytest.fixture
def path(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(kept, tmp_path / "runs.sqlite"))


def change(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with sqlite3.connect(path) as base:
        for statement in statements:
            base.execute(statement, values)
    base.close()


def assert_sound(answer: Answer, whole: Answer | None = None) -> bool:
    """Whether the run was refused; else it is the run that there would have been."""
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
    if answer.outcome.code == "checkpoint_corrupt":
        assert answer.outcome.kind == "failed" and answer.outcome.exit_status == 75
        return True
    assert (answer.text, answer.outcome.kind) == ("Exit 12", "answered"), answer.outcome
    return False


def test_a_sound_checkpoint_is_gone_on_from(path: Path) -> None:
    assert not assert_sound(ask(path))


@pytest.mark.parametrize(
    "metadata", ["[]", "null", "7", '"text"', "{", '{"step": "x"}', '{"step": null}', "{}", b"\xff", None]
)
def test_broken_metadata_are_told(path: Path, metadata: Any) -> None:
    change(path, "UPDATE checkpoints SET metadata=?", values=(metadata,))
    assert_sound(ask(path))


BLOBS = (
    *(b"", b"\x00", b"\xc1", b"not msgpack", b"[]", b"null", b'{"v": 1}', b"\x80", b"\x90", None, 7, "text"),
    ormsgpack.packb({"v": 4, "channel_values": 7}),
    ormsgpack.packb({"v": 4, "id": "x", "channel_values": {"question": 7}, "channel_versions": []}),
    ormsgpack.packb([1, 2, 3]),
    b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
)


@pytest.mark.parametrize("blob", BLOBS, ids=repr)
@pytest.mark.parametrize("kind", ["msgpack", "json", "pickle", "null", "evil", None])
def test_blobs_that_are_no_checkpoint_are_told(path: Path, blob: Any, kind: Any) -> None:
    change(path, "UPDATE checkpoints SET checkpoint=?, type=?", values=(blob, kind))
    assert assert_sound(ask(path))


def test_a_blob_that_another_program_wrote_is_told(path: Path) -> None:
    """Well-formed and of the right shape, but without our seal: somebody else's, or changed by hand."""
    with sqlite3.connect(path) as base:
        rows = base.execute("SELECT rowid, type, checkpoint FROM checkpoints").fetchall()
        plain = [(JsonPlusSerializer().dumps_typed(SealedSerializer().loads_typed((t, c)))[1], r) for r, t, c in rows]
        base.executemany("UPDATE checkpoints SET checkpoint=? WHERE rowid=?", plain)
    base.close()
    assert assert_sound(ask(path))


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_of_values_are_noticed(path: Path, seed: int) -> None:
    """Even where a letter becomes another letter, which nothing but a seal cannotice."""
    source = random.Random(seed)
    with sqlite3.connect(path) as base:
        for row, blob in base.execute("SELECT rowid, checkpoint FROM checkpoints").fetchall():
            flipped = bytearray(blob)
            for _ in range(source.choice([1, 1, 8])):
                flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
            base.execute("UPDATE checkpoints SET checkpoint=? WHERE rowid=?", (bytes(flipped), row))
    base.close()
    assert assert_sound(ask(path))


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bits_anywhere_in_the_file_end_in_one_of_two_ways(path: Path, seed: int) -> None:
    source = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(source.choice([1, 10, 100])):
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    path.write_bytes(content)
    answer = ask(path)
    if answer.outcome.code not in ("store_io", "store_read_only", "run_mismatch"):
        assert_sound(answer)


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, 5000, -1, -4096])
def test_a_cut_file_ends_in_one_of_two_ways(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    assert_sound(ask(path))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE writes",
        "DELETE FROM writes",
        "UPDATE writes SET value=x'00'",
        "UPDATE writes SET type='evil'",
        "UPDATE writes SET channel='evil'",
        "ALTER TABLE checkpoints RENAME COLUMN metadata TO other",
        "ALTER TABLE checkpoints RENAME TO other",
        "DELETE FROM checkpoints",
        "UPDATE checkpoints SET checkpoint_id='zzz' || rowid",
        "UPDATE checkpoints SET parent_checkpoint_id='zzz'",
        "UPDATE checkpoints SET checkpoint_ns='x'",
        "UPDATE checkpoints SET checkpoint_ns=CAST(x'ff' AS TEXT)",
        "UPDATE checkpoints SET metadata=CAST(x'ff' AS TEXT)",
        "UPDATE checkpoints SET type=CAST(x'ff' AS TEXT)",
    ],
)
def test_tables_that_are_not_as_they_were_end_in_one_of_two_ways(path: Path, statement: str) -> None:
    change(path, statement)
    assert_sound(ask(path))


ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    7,
    -1,
    2**70,
    1.5,
    float("nan"),
    "x",
    "\ud800",
    [],
    [7],
    [None],
    {},
    {"id": 7},
    [[]],
    [{"id": "x"}],
)


def spoilt(state: dict[str, Any], source: random.Random) -> None:
    """Put something odd into `state`, at any depth."""
    holder: Any = state
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = source.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and source.random() < 0.75:
            holder = holder[key]
            continue
        if source.random() < 0.15:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(source.choice(ODD_VALUES))
        return


class Tampered(InMemorySaver):
    """A saver of the user's own whose values were changed. `left` holds them as they were."""

    tamper: Callable[[dict[str, Any]], None] = staticmethod(lambda values: None)

    async def aget_tuple(self, config: Any) -> Any:
        found = await super().aget_tuple(config)
        if found is not None:
            values = json.loads(json.dumps(found.checkpoint["channel_values"]))
            self.tamper(values)
            found.checkpoint["channel_values"] = values
        return found


@pytest.fixture(scope="module", params=["ended", "broken off"])
def savers(request: pytest.FixtureRequest) -> Iterator[Callable[[], Tampered]]:
    kept = Tampered()
    if request.param == "ended":
        ask(kept)
    else:
        with pytest.raises(KeyError):
            ask(kept, breaks_off)
    yield lambda: copy.deepcopy(kept)


@pytest.mark.parametrize("seed", range(150))
def test_states_of_another_shape_are_told_whatever_saver_kept_them(savers: Callable[[], Tampered], seed: int) -> None:
    saver = savers()
    saver.tamper = lambda values: spoilt(values, random.Random(seed))
    answer = ask(saver)
    if answer.outcome.code != "run_mismatch":
        assert Answer.model_validate_json(answer.model_dump_json()) == answer
        assert answer.outcome.code == "checkpoint_corrupt" or answer.answered


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", {}),
        ("outcome", {"kind": "won", "reasons": [], "code": None, "exit_status": 0}),
        (
            "macro",
            {"text": "x", "reply": "x", "letter": None, "valid": True, "likelihood": None, "views": ["view-none"]},
        ),
        ("macro", {"text": "x", "reply": "x", "letter": None, "valid": True, "likelihood": None, "views": []}),
        (
            "views",
            [{"id": "v", "picture": "p", "box": [0, 0, 10**9, 10**9], "size": [64, 64], "source": "", "depth": 0}],
        ),
        ("views", [{"id": "v", "picture": "p", "box": [0, 0, 9], "size": [64, 64], "source": "", "depth": 0}]),
        ("views", [{"id": "v", "picture": "p", "box": [0, 0, 9, 9], "size": [10**9, 10**9], "source": "", "depth": 0}]),
        ("views", [{"id": "v", "picture": "p", "box": [0, 0, 9, 9], "size": [64, 64], "source": "none", "depth": 0}]),
        ("messages", "text"),
        ("calls", [1]),
        ("question", None),
    ],
)
def test_values_that_can_not_be_are_told(savers: Callable[[], Tampered], field: str, value: Any) -> None:
    saver = savers()
    saver.tamper = lambda values: values.update({field: value})
    assert assert_sound(ask(saver))


def test_another_thread_of_a_damaged_file_is_answered(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checkpoint=x'00'")
    assert assert_sound(ask(path))
    assert not assert_sound(ask(path, thread="two"))


ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
QUERIES = [
    f"CREATE VIEW checkpoints AS {ENDLESS} SELECT 't' AS thread_id, '' AS checkpoint_ns, 'c' AS checkpoint_id, "
    "NULL AS parent_checkpoint_id, 'msgpack' AS type, x'00' AS checkpoint, '{}' AS metadata FROM r WHERE x < 0",
    "CREATE VIEW writes AS SELECT 1",
    f"CREATE TABLE t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN {ENDLESS.replace('WITH', 'INSERT INTO t WITH')} "
    "SELECT x FROM r; END",
    "CREATE VIRTUAL TABLE checkpoints USING fts5(thread_id)",
]


@pytest.mark.parametrize("query", QUERIES, ids=["view", "other view", "trigger", "virtual"])
def test_a_file_that_holds_queries_is_refused_before_they_run(tmp_path: Path, query: str) -> None:
    file = tmp_path / "runs.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as base:
        base.executescript(query)
    with ZoomAgent(FakeModel(respond=respond), strategy="macro", checkpointer=file) as agent:
        answer = agent.ask(Image.new("RGB", (60, 60)), "q?", thread_id="t")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "checkpoint_corrupt")
