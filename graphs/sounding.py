"""The node `source` of the graph of moments: where in a clip is what sounds?

The clip's own sound is loudest at some time. The spectrogram around that time and the frame of it are shown in one
prompt, and the model points at the thing. The proof asks for the likelihood of the same reply with the spectrogram
muted: whoever points at the same thing then did not go by the sound. Where nothing sounds, no model is asked. Left
out: things that sound at other times, and what is outside of the frame.
"""

import asyncio
import re

from zoomagent.errors import ToolError
from zoomagent.graphs.asking import BudgetedModel, NodeRun, heard_part
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.state import CheckRecord, MomentRecord, ProofRecord, Update
from zoomagent.graphs.weighing import MATTERS
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.models.base import Message, Text
from zoomagent.moments import Moment, seconds, widened, words
from zoomagent.prompts import HEARD, SOURCE, SPECTROGRAM, ground_prompt
from zoomagent.tools.grounding import boxes_in
from zoomagent.tools.viewing import SheetRecord

PHRASE = "the thing that sounds"
AROUND = 1500
"""Milliseconds before and behind the loudest time that the spectrogram shows (ours)."""
_MAKES = r"(?:sounds?|is heard|are heard|can be heard|makes? (?:the |this |that |a )?(?:sound|noise))"
_ASKED = re.compile(
    rf"where (?:is|are) (?:what|the (?:things?|objects?|ones?) (?:that|which)) {_MAKES}"
    rf"|which (?:thing|object) {_MAKES}|where is the source of the (?:sound|noise)"
    r"|where does the (?:sound|noise) come from",
    re.IGNORECASE,
)
"""Where is what sounds? Where does the sound come from? Where is the thing that makes the noise?"""


def asks_for_source(question: str) -> bool:
    """Whether a question asks where that is which sounds."""
    return bool(_ASKED.fullmatch(" ".join(question.split()).rstrip("?!. ")))


@model_step
async def source(run: NodeRun) -> Update:
    """Show the sound and the frame of its loudest time together, and have the model point at what sounds."""
    views = run.bench.views
    sheet = views.picture
    assert isinstance(sheet, Sheet) and isinstance(sheet.video, Video)
    video = sheet.video
    sound = await asyncio.to_thread(video.sound)
    if sound.silent:
        return {"steps": step_words("The clip's sound is silent.")}
    time = min(await asyncio.to_thread(sound.loudest_time), video.duration - 1)
    around = widened(Moment(time, time + 1), AROUND, sound.duration)
    frame = views.sheet(Moment(time, time + 1), 1)["id"]
    heard, muted = (views.spectrogram(around, hidden)["id"] for hidden in ([], [around]))
    model, prompt = BudgetedModel(run), ground_prompt(PHRASE, views.profile.space)

    async def told(spectrogram: str) -> Message:
        shown = await views.pixels(spectrogram)
        hears = views.profile.sound == "audio"
        lead = SPECTROGRAM + HEARD + SOURCE if hears else SPECTROGRAM + SOURCE
        shown = heard_part(shown, views) if hears else shown
        return Message("user", (Text(lead), shown, await views.pixels(frame), Text(prompt)))

    [reply] = await model.generate([await told(heard)], max_tokens=run.context.max_tokens, task="region")
    try:
        boxes = boxes_in(reply, views, frame)
    except ToolError as error:
        return {"steps": step_words(f"The model named no usable box of {PHRASE}. {error}", [heard, frame])}
    if not boxes:
        return {"steps": step_words(f"The model pointed at nothing at {seconds(time)}.", [heard, frame])}
    at = Moment(time, min(video.duration, time + video.frame_gap)).as_list()
    ends: list[int | None] = [time, None, 1]
    record = MomentRecord(
        id="moment-1", phrase=PHRASE, at=time, seen=None, moment=at, stretch=around.as_list(), left=ends, right=ends,
        bounded=True, exact=True, box=boxes[0].as_list(),
    )  # fmt: skip
    text = (
        f"Shown the sound from {words(around)} and the frame at {seconds(time)}, the model points at {record['box']}."
    )
    update: Update = {"moments": [record], "shown": SheetRecord(moment=[time, time + 1], grid=1, hidden=[])}
    scored = []
    for view in (heard, muted) if run.context.proof else ():
        scored.append(await model.score([await told(view)], [reply.text], task="region"))
    if len(scored) < 2 or scored[0] is None or scored[1] is None:
        return {**update, "steps": step_words(text, [heard, frame])}
    proof = ProofRecord(shown=scored[0][0].logprob, blanked=scored[1][0].logprob)
    delta = proof["shown"] - proof["blanked"]
    why = f"With the sound muted, the box is {delta:.2f} nats less likely: the sound "
    why += "mattered." if delta >= MATTERS else "hardly mattered."
    check = CheckRecord(id="mattered-sound", kind="mattered", views=[heard, muted], text=why, value=delta)
    return {**update, "proof": proof, "checks": [check], "steps": step_words(f"{text} {why}", [heard, frame])}
