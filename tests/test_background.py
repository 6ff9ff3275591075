"""Work in a loop elsewhere: who leaves waits until it has ended, and closing ends what still runs."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from zoomagent.background import Background


class Slow:
    """Work that waits for ever and takes a while to end. `began` and `ended` say how far it is."""

    def __init__(self) -> None:
        self.began, self.ended = threading.Event(), threading.Event()

    async def work(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.ended.set()

    async def items(self) -> AsyncGenerator[int, None]:
        yield 1
        await self.work()


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


async def cancelled(work: Any, when: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(work)
    while not when():
        await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_cancelled_call_returns_when_its_work_has_ended(background: Background) -> None:
    slow = Slow()
    asyncio.run(cancelled(background.arun(slow.work()), slow.began.is_set))
    assert slow.ended.is_set()


def test_a_call_that_is_cancelled_before_its_work_began_returns(background: Background) -> None:
    slow, held, free = Slow(), threading.Event(), threading.Event()

    async def busy() -> None:
        held.set()
        free.wait()

    async def call() -> None:
        blocking = asyncio.create_task(background.arun(busy()))
        while not held.is_set():
            await asyncio.sleep(0.005)
        asked = asyncio.create_task(background.arun(slow.work()))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.sleep(0.01)
        free.set()
        with suppress(asyncio.CancelledError):
            await asked
        await blocking

    asyncio.run(call())
    assert not slow.began.is_set()


def test_leaving_a_stream_returns_when_its_work_has_ended(background: Background) -> None:
    slow = Slow()

    async def follow() -> None:
        async with aclosing(background.aiterate(slow.items())) as items:
            async for _ in items:
                while not slow.began.is_set():
                    await asyncio.sleep(0.005)
                return

    asyncio.run(follow())
    assert slow.ended.is_set()


def test_a_cancelled_stream_ends_when_its_work_has_ended(background: Background) -> None:
    slow = Slow()

    async def follow() -> None:
        async for _ in background.aiterate(slow.items()):
            pass

    asyncio.run(cancelled(follow(), slow.began.is_set))
    assert slow.ended.is_set()


def test_leaving_a_sync_stream_returns_when_its_work_has_ended(background: Background) -> None:
    slow = Slow()
    items = background.iterate(slow.items())
    assert next(items) == 1 and slow.began.wait(5)
    items.close()
    assert slow.ended.is_set()


def test_results_and_errors_come_through_all_four_ways(background: Background) -> None:
    async def work(result: int) -> int:
        if not result:
            raise ZeroDivisionError
        return result

    async def items(last: int) -> AsyncGenerator[int, None]:
        yield 7
        yield await work(last)

    async def followed(last: int) -> list[int]:
        return [item async for item in background.aiterate(items(last))]

    assert background.run(work(3)) == asyncio.run(background.arun(work(3))) == 3
    assert list(background.iterate(items(8))) == asyncio.run(followed(8)) == [7, 8]
    for failing in (
        lambda: background.run(work(0)),
        lambda: asyncio.run(background.arun(work(0))),
        lambda: list(background.iterate(items(0))),
        lambda: asyncio.run(followed(0)),
    ):
        with pytest.raises(ZeroDivisionError):
            failing()


def test_closing_ends_what_still_runs_and_whoever_waits_for_it(background: Background) -> None:
    slow = Slow()
    waiting = threading.Thread(target=lambda: suppressed(lambda: background.run(slow.work())))
    waiting.start()
    assert slow.began.wait(5)
    background.close()
    waiting.join(5)
    assert slow.ended.is_set() and not waiting.is_alive()


def test_closed_it_starts_again_with_the_next_use(background: Background) -> None:
    background.run(asyncio.sleep(0))
    background.close()
    time.sleep(0.01)
    assert background.run(asyncio.sleep(0, "again")) == "again"


def suppressed(call: Callable[[], object]) -> None:
    with suppress(asyncio.CancelledError):
        call()
