"""An event loop of our own in a daemon thread, so that sync and async callers share one.

Clients and stores belong to the loop they were made in. With one loop per agent, `ask` works where a loop
already runs (notebooks), `aask` works from any loop, and both may be mixed. The thread starts with the first
use.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Runs coroutines elsewhere and hands back their results."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start `work`; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; an interrupt (Ctrl-C) cancels it."""
        future = self.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """The same from another event loop; cancelling the caller cancels `work`."""
        return await asyncio.wrap_future(self.submit(work))

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items of an async iterator, one by one as they come. Leaving early cancels the rest."""
        arrived: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        future = self.submit(_pump(items, arrived.put))
        try:
            while (item := arrived.get()) is not None:
                yield item
            future.result()
        finally:
            future.cancel()

    async def aiterate(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """The same from another event loop."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Queue[T | None]()
        future = self.submit(_pump(items, lambda item: loop.call_soon_threadsafe(arrived.put_nowait, item)))
        try:
            while (item := await arrived.get()) is not None:
                yield item
            await asyncio.wrap_future(future)
        finally:
            future.cancel()

    def close(self) -> None:
        """Stop the loop. Later use starts a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name="zoomagent", daemon=True).start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _pump(items: AsyncIterator[T], put: Any) -> None:
    """Every item into `put`, then None, also when it ends by an error (which the future then holds)."""
    try:
        async for item in items:
            put(item)
    finally:
        put(None)
