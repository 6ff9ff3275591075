"""How fast a batch answers: rows that were asked in this run, over the time since the first of them.

Rows that an earlier run answered, and lines that are no row, pass in no time; they count as done, not as speed.
"""

import time
from collections.abc import Callable


class Pace:
    """Counts what is done. `total` is None where it is not known."""

    def __init__(self, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self._asked = 0
        self._clock = clock
        self._begun: float | None = None

    def passed(self, count: int) -> None:
        """So many rows needed no asking."""
        self.done += count

    def begin(self) -> None:
        """A row is asked now. The first one starts the clock."""
        if self._begun is None:
            self._begun = self._clock()

    def answered(self, count: int) -> None:
        """So many rows that were asked are done."""
        self.done += count
        self._asked += count

    @property
    def rate(self) -> float | None:
        """Rows a second; None before the first is answered."""
        if self._begun is None or not self._asked:
            return None
        return self._asked / max(1e-9, self._clock() - self._begun)

    @property
    def seconds_left(self) -> float | None:
        """Seconds for the rows that are left, as if all of them are to be asked."""
        if self.total is None or self.rate is None:
            return None
        return max(0, self.total - self.done) / self.rate
