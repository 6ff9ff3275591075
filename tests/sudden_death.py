"""A process that is killed at its n-th step of writing a file: the draft is there, and has not taken its place."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoomagent import files


def killed_at_draft(work: Callable[[], Any], number: int) -> bool:
    """Run `work` in a child that is killed when its draft of that number is written. Whether there was so many."""
    child = multiprocessing.get_context("fork").Process(target=_work_and_die, args=(work, number))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL), child.exitcode
    return child.exitcode != 0


def _work_and_die(work: Callable[[], Any], number: int) -> None:
    left, sync = [number], files.sync

    def die(path: Path) -> None:
        if path.is_file():
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", die)
        work()
