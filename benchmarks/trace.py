"""How far one question travels through the code: modules and functions of zoomagent that it enters.

    python benchmarks/trace.py                          # the example scene, every strategy
    python benchmarks/trace.py --strategy auto --list   # and the names of what was entered, by module

The model is nano, loaded before the question is asked, and the second of two equal questions is counted: nothing is
imported or set up then. A function counts once however often it is called, comprehensions and lambdas not at all. What
runs in threads counts; what runs in other processes (decoding pictures) does not. Left out: time (`overhead.py`).
"""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, get_args

import zoomagent
from zoomagent.agent import ZoomAgent
from zoomagent.strategy import Strategy

HOUSE = Path(zoomagent.__file__).resolve().parent
FOLDERS = tuple(f"{folder.resolve()}/" for folder in (HOUSE, HOUSE / "graphs", HOUSE / "tools"))
SCENE = HOUSE / "data" / "example" / "scene.jpg"
QUESTION = "What is written on the yellow circle?"


class Trace:
    """The functions of zoomagent that were entered, and how often one module called into another. Threads count that
    were started after it was made."""

    def __init__(self) -> None:
        self.entered: set[CodeType] = set()
        self.moves = 0
        self._watching = False
        threading.setprofile(self._watch)
        sys.setprofile(self._watch)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Begin anew, and count what is entered within."""
        self.entered, self.moves, self._watching = set(), 0, True
        try:
            yield
        finally:
            self._watching = False

    def _watch(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if not self._watching or event != "call" or not code.co_filename.startswith(FOLDERS):
            return
        if not code.co_name.startswith("<"):
            self.entered.add(code)
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        self.moves += caller.startswith(FOLDERS) and caller != code.co_filename

    def by_module(self) -> dict[str, list[str]]:
        """The functions that were entered, under their module's file."""
        found: dict[str, list[str]] = {}
        for code in sorted(self.entered, key=lambda code: (code.co_filename, code.co_firstlineno)):
            found.setdefault(code.co_filename, []).append(code.co_qualname)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--strategy", choices=get_args(Strategy), action="append")
    parser.add_argument("--image", type=Path, default=SCENE)
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--list", action="store_true", help="name every function")
    given = parser.parse_args()
    print("| strategy | modules | functions | moves between modules |\n|---|--:|--:|--:|")
    trace = Trace()
    with ZoomAgent() as agent:
        for strategy in given.strategy or get_args(Strategy):
            one = agent.using(strategy=strategy)
            one.ask(given.image, given.question)
            with trace.following():
                one.ask(given.image, given.question)
            modules = trace.by_module()
            print(f"| {strategy} | {len(modules)} | {len(trace.entered)} | {trace.moves} |", flush=True)
            for file, names in modules.items() if given.list else ():
                print(f"    {Path(file).name}: {', '.join(names)}")


if __name__ == "__main__":
    main()
