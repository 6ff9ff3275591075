"""What a batch came to: answered, "Cannot tell", refused and failed by code, right where that is known, and the price.

    tally = Tally()
    tally.add(record)                 # a line of the answers, as JSON
    tally.summary()

Counts all lines of the answers, those of earlier runs too. `put_off` are questions that were asked in this run and got
no answer for a reason that passes (a server was away): they are in no file, and asked again by the next run.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoomagent.batch.rows import NoRow

SHOWN = 20
"""Lines that are no questions, told one by one."""


@dataclass
class Tally:
    """Running counts; `degraded` are answers whose run could not look as it should have. Tokens and seconds are
    sums over all answers, `seconds` as each was waited for."""

    answered: int = 0
    degraded: int = 0
    cannot_tell: int = 0
    without: Counter[str] = field(default_factory=Counter)
    put_off: Counter[str] = field(default_factory=Counter)
    no_rows: int = 0
    first_no_rows: list[NoRow] = field(default_factory=list)
    judged: int = 0
    right: float = 0.0
    unscored: int = 0
    first_unscored: list[NoRow] = field(default_factory=list)
    records: int | None = None
    calls: int = 0
    visual_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one line of the answers. Raises KeyError or TypeError for what is none."""
        cost = record["cost"]
        if record["outcome"] in ("refused", "failed"):
            self.without[f"{record['outcome']} ({record['code']})"] += 1
        elif record["abstained"]:
            self.cannot_tell += 1
        else:
            self.answered += 1
        self.degraded += record["outcome"] == "answered_degraded"
        if record["right"] is not None:
            self.judged += 1
            self.right += float(record.get("score", record["right"]))
        elif "unscored" in record:
            self.unscored += 1
            if len(self.first_unscored) < SHOWN:
                self.first_unscored.append(NoRow(record["line"], str(record["unscored"])))
        self.calls += cost["model_calls"]
        self.visual_tokens += cost["visual_tokens"]
        self.prompt_tokens += cost["prompt_tokens"]
        self.completion_tokens += cost["completion_tokens"]
        self.seconds += cost["seconds"]

    def refuse(self, row: NoRow) -> None:
        self.no_rows += 1
        if len(self.first_no_rows) < SHOWN:
            self.first_no_rows.append(row)

    @property
    def kept(self) -> int:
        """Lines of the answers."""
        return self.answered + self.cannot_tell + self.without.total()

    def summary(self) -> dict[str, Any]:
        """The counts as plain JSON. `accuracy` counts "Cannot tell" and no answer as wrong."""
        return {
            "rows": self.kept + self.put_off.total(),
            "answered": self.answered,
            "cannot_tell": self.cannot_tell,
            "degraded": self.degraded,
            "without_answer": dict(self.without),
            "put_off": dict(self.put_off),
            "no_rows": self.no_rows,
            "first_no_rows": [{"line": row.line, "text": row.text} for row in self.first_no_rows],
            "judged": self.judged,
            "unscored": self.unscored,
            **({} if self.records is None else {"records": self.records}),
            "accuracy": self.right / self.judged if self.judged else None,
            "model_calls": self.calls,
            "visual_tokens": self.visual_tokens,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "seconds": round(self.seconds, 3),
        }
