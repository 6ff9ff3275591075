"""Does reading agree? The views an answer rests on, read letter by letter, with `ocr=True`; in every strategy.

Left out: the reading itself (`zoomagent/tools/reading.py`), and what follows from it (`judging.py`).
"""

from collections.abc import Sequence

from zoomagent.confidence.replies import plain
from zoomagent.errors import RunError, ToolError
from zoomagent.graphs.asking import NodeRun
from zoomagent.graphs.state import CheckRecord, ProblemRecord
from zoomagent.tools.reading import read

UNREAD = 'The crops were not read letter by letter: pip install "zoomagent[ocr]".'


async def check_reading(
    run: NodeRun, name: str, views: Sequence[str], text: str
) -> tuple[list[CheckRecord], list[ProblemRecord]]:
    """Whether character recognition of the views finds the answer; nothing where it was not asked for, or finds no text
    at all. A reader that is not installed is a problem that takes nothing from the answer."""
    if not run.context.ocr:
        return [], []
    try:
        lines = [line.text for view in views for line in await read(run.bench.views, view)]
    except ToolError as error:
        if error.code != "ocr_missing":
            raise RunError(str(error), code=error.code) from error
        return [], [ProblemRecord(id="unread", code=error.code, text=UNREAD, stops=False)]
    if not lines:
        return [], []
    agrees = plain(text).replace(" ", "") in plain("".join(lines)).replace(" ", "")
    words = f"Read letter by letter: {', '.join(lines)}; the answer is {'' if agrees else 'not '}among it."
    check = CheckRecord(id=f"reads-{name}", kind="reads", views=list(views), text=words, value=float(agrees))
    return [check], []
