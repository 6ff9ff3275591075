"""Charades-STA (Gao et al. 2017), and TimeLens' corrected labels of it (Zhang et al. 2025): when something happens in a
clip of some thirty seconds.

    charades_sta_test.txt      `3MSZA 24.3 30.4##person turn a light on.`   a line each: clip, seconds, words
    charades-timelens.json     {"3MSZA": {"duration", "spans": [[start, end], …], "queries": ["…", …]}, …}
    Charades_v1_480/3MSZA.mp4  clips of Charades; TimeLens' own download unpacks to videos/charades/

Sources of the files and of the scoring: github.com/jiyanggao/TALL, and github.com/TencentARC/TimeLens
(timelens/dataset/timelens_data.py, from which the words are cleaned the same way): R@1 at an IoU of 0.3, 0.5 and 0.7,
and the mean IoU, of the first moment that is named. Left out: Charades' own list of actions.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from zoomagent.data.grounding.annotation import MOST_SECONDS
from zoomagent.data.grounding.annotation import number as in_range
from zoomagent.data.world.clips import DURATION, Clip, draw_clip, drawn_video
from zoomagent.data.world.scene import LEVELS, SPLITS, Item
from zoomagent.evaluation.sets.public.files import corrupt, picture_at, require_fields, require_file, text_of
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

LINES = "charades_sta_test.txt"
CORRECTED = "charades-timelens.json"
FOLDERS = ("videos/charades", "video_shards/charades/videos", "Charades_v1_480", "Charades_v1", "videos")
"""Where clips lie, in the order that is tried; else in the folder itself."""
MOST_LINE, MOST_WORDS = 4096, 300
QUOTES = str.maketrans('"“”', "'''")


def read_charades_sta(folder: Path) -> Iterator[SetQuestion]:
    """Every line of the test split."""
    path = require_file(folder / LINES)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if not line.endswith((b".", b"\n")):
                raise corrupt(path, number, "it is cut off")
            head, marks, words = line[:MOST_LINE].decode("utf-8", "replace").partition("##")
            if not marks or len(parts := head.split()) != 3:
                raise corrupt(path, number, "it is no clip, beginning and end with ## and words behind them")
            yield _question(path, number, folder, f"{number}", parts[0], parts[1:], words)


def read_charades_timelens(folder: Path) -> Iterator[SetQuestion]:
    """Every sentence of every clip."""
    path = require_file(folder / CORRECTED)
    try:
        clips = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise corrupt(path, "?", f"it is not JSON ({error})") from error
    if not isinstance(clips, dict):
        raise corrupt(path, "?", "it is no object of clips")
    for clip, row in clips.items():
        row = require_fields(path, clip, row, ("spans", "queries"))
        spans, queries = row["spans"], row["queries"]
        if not isinstance(spans, list) or not isinstance(queries, list) or len(spans) != len(queries):
            raise corrupt(path, clip, "it has not as many moments as sentences")
        for place, (span, query) in enumerate(zip(spans, queries, strict=True)):
            yield _question(path, clip, folder, f"{clip}-{place}", clip, span, text_of(path, clip, query))


def _question(path: Path, number: int | str, folder: Path, name: str, clip: str, span: Any, words: str) -> SetQuestion:
    """A question whose answer is a moment in milliseconds. The words are quoted: all of them are looked for."""
    try:
        if not isinstance(span, list) or len(span) != 2:
            raise TypeError
        start, end = (round(1000 * in_range(float(side), 0, MOST_SECONDS)) for side in span)
    except (TypeError, ValueError, OverflowError) as error:
        raise corrupt(path, number, "its moment is not two numbers of seconds") from error
    phrase = re.sub(r"\s+", " ", words).strip(" .").translate(QUOTES)
    if end < start or not 0 < len(phrase) <= MOST_WORDS:
        raise corrupt(path, number, "it has no words, or too many, or ends before it begins")
    home = next((folder / one for one in FOLDERS if (folder / one).is_dir()), folder)
    file = picture_at(path, number, home, f"{clip}.mp4")
    return SetQuestion(name, file, f'When does "{phrase}" happen?', (str([start, end]),))


# Writing drawn sets

SIDE = 512
LENGTHS = (0.5, 0.2, 0.1)
SEED = 71


def write_charades_sta(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The lines, with clips of the drawn world in which one thing is there for a while."""
    lines = [f"{name} {start} {end}##{phrase}." for name, start, end, phrase in _write_clips(folder, FOLDERS[2], drawn)]
    (folder / LINES).write_text("\n".join(lines) + "\n")


def write_charades_timelens(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The same as TimeLens writes it."""
    clips = {
        name: {"duration": DURATION / 1000, "spans": [[start, end]], "queries": [f"{phrase}."]}
        for name, start, end, phrase in _write_clips(folder, FOLDERS[0], drawn)
    }
    (folder / CORRECTED).write_bytes(orjson.dumps(clips))


def _write_clips(folder: Path, home: str, drawn: Sequence[DrawnQuestion]) -> list[tuple[str, float, float, str]]:
    """One clip for each question, smaller than its picture: its name, when the thing is there, and the thing."""
    (folder / home).mkdir(parents=True)
    rows = []
    for number, one in enumerate(drawn):
        clip = draw_clip(LEVELS["small"], SPLITS["test"] + SEED, number, LENGTHS[number % len(LENGTHS)])
        name = f"CLIP{number}"
        _write_video(folder / home / f"{name}.mp4", clip, min(SIDE, *one.size) // 2 * 2)
        rows.append((name, clip.moment.start / 1000, clip.moment.end / 1000, clip.item.name))
    return rows


def _write_video(path: Path, clip: Clip, side: int) -> None:
    """A frame of each second; frames that show the same things are drawn once."""
    import av

    frames: dict[tuple[Item, ...], av.VideoFrame] = {}
    with av.open(path, "w") as container, drawn_video(clip, side) as video:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": "12", "g": "4", "threads": "1"}
        for second in range(video.duration // 1000):
            things = clip.at(1000 * second).items
            if things not in frames:
                frames[things] = av.VideoFrame.from_image(video.frame(1000 * second)).reformat(format="yuv420p")
            frame = frames[things]
            frame.pts = second
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
