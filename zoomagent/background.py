"""An event loop of our own in a daemon thread, so that sync and async callers share one.

Clients and stores belong to the loop they were made in. With one loop per agent, `ask` works where a loop
already runs (notebooks), `aask` works from any loop, and both may be mixed. The thread starts with the first
use. Who leaves early, or is cancelled, waits until the work has really ended: what it uses may then be closed.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Over = Callable[[asyncio.Task[T]], None]


class Background:
    """Runs coroutines elsewhere and hands back their results."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; an interrupt (Ctrl-C) cancels it."""
        over: Future[asyncio.Task[T]] = Future()
        stop = self._begin(work, over.set_result)
        try:
            return over.result().result()
        finally:
            if not over.done():
                stop()
                over.result()

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """The same from another event loop; cancelling the caller cancels `work`."""
        results = LoopQueue[asyncio.Task[T]]()
        stop = self._begin(work, results.put)
        try:
            task = await results.get()
        except asyncio.CancelledError:
            stop()
            await results.get()
            raise
        return task.result()

    def iterate(self, items: AsyncIterator[T]) -> Generator[T, None, None]:
        """The items of an async iterator, one by one as they come. Leaving early cancels the rest."""
        results: queue.SimpleQueue[T | asyncio.Task[None]] = queue.SimpleQueue()
        stop, over = self._begin(_pump(items, results.put), results.put), False
        try:
            while not isinstance(item := results.get(), asyncio.Task):
                yield item
            over = True
            item.result()
        finally:
            if not over:
                stop()
                while not isinstance(results.get(), asyncio.Task):
                    pass

    async def aiterate(self, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """The same from another event loop."""
        results = LoopQueue[T | asyncio.Task[None]]()
        stop, over = self._begin(_pump(items, results.put), results.put), False
        try:
            while not isinstance(item := await results.get(), asyncio.Task):
                yield item
            over = True
            item.result()
        finally:
            if not over:
                stop()
                while not isinstance(await results.get(), asyncio.Task):
                    pass

    def close(self) -> None:
        """Stop the loop and what runs in it. Later use starts a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _begin(self, work: Coroutine[Any, Any, T], over: Over[T]) -> Callable[[], None]:
        """Start `work`; `over` is given its task once that has ended. The result cancels it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=serve, args=(self._loop,), name="zoomagent", daemon=True).start()
            loop = self._loop
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = loop.create_task(work)
            task.add_done_callback(lambda _: task.cancelled() or task.exception())  # who stopped it need not ask
            task.add_done_callback(over)
            tasks.append(task)

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: all that ran in it has ended
                loop.call_soon_threadsafe(lambda: tasks[0].cancel())

        loop.call_soon_threadsafe(start)
        return stop


class LoopQueue(Generic[T]):
    """A queue of the running loop's that other threads put into."""

    def __init__(self) -> None:
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue[T]()
        self.get = self._queue.get

    def put(self, item: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


def serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped; then cancel what still runs, and wait until it has ended."""

    async def end_all() -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(end_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _pump(items: AsyncIterator[T], put: Callable[[T], Any]) -> None:
    async for item in items:
        put(item)
