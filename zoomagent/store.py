"""Where interrupted runs wait: LangGraph checkpoints in one SQLite file, written by one process at a time.

The file is opened with the first run and closed after the last, so that a forgotten agent leaves no thread
and no lock behind. A kernel lock beside it tells a second process so (`run_already_active`); it ends with its
process, even a killed one. What SQLite reports becomes a StoreError with a stable code. What is kept is sealed, so that
damage to it is noticed and not read as something else. Left out: other savers, which are passed in ready-made, and
whether what was read is the state of a run (`running.py`).
"""

import asyncio
import contextlib
import hashlib
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from zoomagent.errors import StoreError
from zoomagent.files import only_process

THREAD_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
BUSY_SECONDS = 30.0
"""How long SQLite waits for another connection's write."""


SEAL_BYTES = 16


class SealedSerializer(JsonPlusSerializer):
    """LangGraph's strict serializer, with a seal after every value: what a disk or a hand has changed is not read."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, content = super().dumps_typed(obj)
        return kind, content + _seal(kind, content)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, sealed = data
        content, seal = sealed[:-SEAL_BYTES], sealed[-SEAL_BYTES:]
        if seal != _seal(kind, content):
            raise StoreError(
                "The checkpoint is damaged: what it holds is not what was written. Move the file away and run again.",
                code="checkpoint_corrupt",
            )
        return super().loads_typed((kind, content))


def _seal(kind: str, content: bytes) -> bytes:
    return hashlib.blake2b(kind.encode() + b"\0" + content, digest_size=SEAL_BYTES).digest()


class CheckpointFile:
    """A SQLite checkpoint file, open while at least one run uses it."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._users = 0
        self._lock = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._saver: AsyncSqliteSaver | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[BaseCheckpointSaver[str]]:
        """The saver, shared by all runs of this process."""
        async with self._lock:
            self._saver = saver = self._saver or await self._open()
            self._users += 1
        try:
            yield saver
        finally:
            async with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._saver = None
                    await self._stack.aclose()

    async def _open(self) -> AsyncSqliteSaver:
        """Lock the file, open it, and make its tables."""
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(only_process(self._path, "this checkpoint file"))
            stack.enter_context(store_errors())
            connection = await stack.enter_async_context(aiosqlite.connect(self._path, timeout=BUSY_SECONDS))
            saver = AsyncSqliteSaver(connection, serde=SealedSerializer(allowed_msgpack_modules=None))
            try:
                # Tables and their indices only: views, triggers and virtual tables would run queries of others, which
                # may never end.
                async with connection.execute(
                    "SELECT count(*) FROM sqlite_master "
                    "WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
                ) as found:
                    row = await found.fetchone()
                if row is None or row[0]:
                    text = "The checkpoint file holds other things than tables of checkpoints."
                    raise StoreError(f"{text} Move it away, or name another.", code="checkpoint_corrupt")
                await saver.setup()
            except UnicodeDecodeError as error:  # SQLite quotes the damage, and Python cannot read the quotation
                raise StoreError("The checkpoint file is damaged. Move it away.", code="checkpoint_corrupt") from error
            self._stack = stack.pop_all()
        return saver


_REPORTS = (
    ("SQLITE_FULL", "store_full", "No space is left for checkpoints. Make room and run the same again."),
    ("SQLITE_READONLY", "store_read_only", "The checkpoint file cannot be written. Check its permissions."),
    ("SQLITE_CANTOPEN", "store_read_only", "The checkpoint file cannot be opened. Check its folder."),
    ("SQLITE_BUSY", "store_busy", "Another connection keeps the checkpoint file busy. Try later."),
    ("SQLITE_CORRUPT", "checkpoint_corrupt", "The checkpoint file is damaged. Move it away and run again."),
    ("SQLITE_NOTADB", "checkpoint_corrupt", "The checkpoint file is no SQLite file. Name another."),
    ("SQLITE_ERROR", "checkpoint_corrupt", "The checkpoint file holds other tables than checkpoints. Name another."),
    (
        "OperationalError",
        "checkpoint_corrupt",
        "The checkpoint file holds text that is none. Move it away and run again.",
    ),
)


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """The one place where what SQLite reports becomes a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        for start, code, text in _REPORTS:
            if name.startswith(start):
                raise StoreError(text, code=code) from error
        text = f"The checkpoint file cannot be used ({name}). Name another."
        raise StoreError(text, code="store_io") from error


def thread_name(thread: str | None, is_kept: bool) -> str | None:
    """The name under which a run is kept: the one given, else a new one. A wrong one is misuse of the agent."""
    if thread is None:
        return str(uuid.uuid4()) if is_kept else None
    if not is_kept:
        raise ValueError("A thread_id needs a checkpointer to keep the run in. Give the agent one.")
    if not THREAD_ID.fullmatch(thread):
        raise ValueError(f"A thread_id is 1 to 128 of A-Z a-z 0-9 _ . : -, not {thread!r}.")
    return thread


class ActiveThreads:
    """The names of the runs that are going on: one run at a time for each."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    @contextlib.contextmanager
    def only_run(self, thread: str | None) -> Iterator[None]:
        if thread is None:
            yield
            return
        if thread in self._names:
            text = "A run with this thread_id is still going on. Wait for it, or name another."
            raise StoreError(text, code="run_already_active")
        self._names.add(thread)
        try:
            yield
        finally:
            self._names.discard(thread)
