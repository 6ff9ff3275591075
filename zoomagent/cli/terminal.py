"""What people see on a terminal: steps as they happen, then the answer with its reasons and its price.

Models, pictures and files are strangers: their text is printed with every control, escape, bidirectional or invisible
character spelled out (`text.printable`), and never read as markup. Left out: JSON, which needs none of this.
"""

import sys
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoomagent.answer import Answer
from zoomagent.page.words import NOT_SURE, confidence_kind, mattered, mattered_words, no_confidence, percent, span_words
from zoomagent.run_record import Candidate, Step
from zoomagent.text import printable as printable

BRIEF = 0.01
"""Seconds from which a step's time is worth a look."""


def follow(items: Iterable[Step | Answer], console: Console) -> Answer:
    """Print steps as they come; the answer that ends them."""
    answer = None
    with console.status("looking …"):
        for item in items:
            if isinstance(item, Answer):
                answer = item
            else:
                print_step(item, console)
    assert answer is not None, "a run ends with its answer"
    return answer


def print_step(step: Step, console: Console) -> None:
    """One line a step, wrapped under itself. The verdict's reason is left to the summary."""
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(width=12, justify="right", style="bold cyan", no_wrap=True)
    line.add_column(ratio=1, overflow="fold")
    line.add_column(width=7, justify="right", style="dim", no_wrap=True)
    text = step.text.partition(". ")[0].rstrip(".") + "." if step.name == "arbitrate" else step.text
    took = f"{step.seconds:.2f} s" if step.seconds >= BRIEF else ""
    line.add_row(Text(printable(step.name)), Text(printable(text)), took)
    console.print(line)


def print_answer(answer: Answer, console: Console) -> None:
    """Both answers, the choice and why, the confidence, the cost."""
    console.print()
    if answer.answered:
        console.print(Text(printable(answer.text), style="bold green"))
    else:
        console.print(Text(f"{answer.outcome.kind} ({answer.outcome.code})", style="bold red"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in summary(answer):
        table.add_row(name, Text(printable(value)))
    console.print(table)


def summary(answer: Answer) -> list[tuple[str, str]]:
    """What there is to say about a run, as names and values."""
    rows = [("macro answer", _said(answer.macro)), ("micro answer", _said(answer.micro))]
    if answer.perspective:
        rows.append(("chosen", answer.perspective))
    if answer.withheld is not None:
        rows.append(("withheld", f"{answer.withheld}: {NOT_SURE}"))
    rows += [("why" if i == 0 else "", reason) for i, reason in enumerate(answer.reasons)]
    rows.append(("confidence", confidence_words(answer)))
    proof = mattered(answer)
    if proof is not None:
        rows.append(("mattered", mattered_words(proof)))
    for phrase in answer.grounded:
        seen = "".join(f", {share:.2f}" for share in phrase.seen)
        places = " ".join(str(list(box)) for box in phrase.boxes)
        rows.append((phrase.phrase, f"{places or '-'} ({phrase.fate}{seen})"))
    if answer.boxes and not answer.grounded:
        rows.append(("rests on", ", ".join(str(list(box)) for box in answer.boxes)))
    rows += [("when" if i == 0 else "", f"{one.phrase}: {span_words(one)}") for i, one in enumerate(answer.moments)]
    cost = answer.cost
    spent = f"{cost.model_calls} model calls, {cost.visual_tokens} visual tokens, {cost.seconds:.2f} s"
    rows.append(("cost", f"{spent} ({cost.seconds_in_model:.2f} s in the model)"))
    return rows


def _said(candidate: Candidate | None) -> str:
    if candidate is None:
        return "not asked"
    sure = "" if candidate.probability is None else f"  (probability {percent(candidate.probability)})"
    return f"{candidate.text or '(nothing)'}{sure}"


def confidence_words(answer: Answer) -> str:
    """The confidence and what kind of number it is: most are not calibrated, and the words say so."""
    if answer.confidence is None:
        return f"none: {no_confidence(answer)}"
    of = " (of the answer withheld)" if answer.withheld is not None else ""
    return f"{percent(answer.confidence)}, {confidence_kind(answer)}{of}"


def print_lines(text: str) -> None:
    """Lines that hold names of others: of a published set, a file of results, a model."""
    typer.echo("\n".join(printable(line) for line in text.split("\n")))


def complain(text: str) -> None:
    """One line on stderr."""
    print(f"zoomagent: {printable(text)}", file=sys.stderr)
