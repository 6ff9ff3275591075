"""FFmpeg (PyAV) inside the decoder process: the index of a clip's frames, and some of its frames, exactly.

The format is the one that our own sniffing found, never guessed: FFmpeg's guess would follow a playlist to other files
and addresses. Should a demuxer ask for one all the same, it is refused. `probe` reads every packet and decodes one
frame; `frames` decodes on while the next frame lies in the same group of pictures, and seeks else. Needs the extra
`video`. Left out: sound (`decoder_sound.py`).
"""

import struct
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

ROW = struct.Struct("<qqq")
"""A frame of the index: its time in milliseconds, its own time stamp, and that of the key frame it hangs on."""
MAX_HEADER = 5_000_000
"""Bytes that FFmpeg may read to find out what the streams are (its own default)."""
MOST_HELD_BACK = 16
"""Frames that a decoder may keep to show later ones first (H.264 and H.265)."""
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class OpensNothing(Exception):
    """A demuxer asked for another file."""


def probe(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """What the clip is: the size of its upright frames, notes; the index of its frames goes into `target`."""
    try:
        with opened(job, source) as container:
            if len(container.streams) > job["max_streams"]:
                return {"error": "too_many_streams"}
            stream = stream_of(container)
            if stream is None:
                return {"error": "corrupt_video"}
            rows = _index(container, stream, job["max_frames"])
            base = stream.time_base
            if not rows or base is None or base <= 0:
                return {"error": "corrupt_video"}
            first = rows[0][0]
            end = (rows[-1][0] + rows[-1][2] - first) * 1000 * base.numerator // base.denominator
            if len(rows) > job["max_frames"] or end > job["max_seconds"] * 1000:
                return {"error": "video_too_long"}
            found = next(_decoded(container, stream, rows[0][1], job["max_pixels"]), None)
            if found is None:
                return {"error": "corrupt_video"}
            frame = found[1]
            for stamp, key, _ in rows:
                # Up to the next whole millisecond, so that the frame is there at its own time.
                time = -(-(stamp - first) * 1000 * base.numerator // base.denominator)
                target.write(ROW.pack(time, stamp, key))
            image, turned = _upright(frame, None), frame.rotation % 360
            notes = [f"turned_by_{turned}_degrees"] if turned in TURNS else []
            return {"size": list(image.size), "frames": len(rows), "duration": max(1, end), "notes": notes}
    except (FFmpegError, OpensNothing, struct.error):
        return {"error": "corrupt_video"}


def frames(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The job's frames ([time stamp, key frame's time stamp], in order of time), three bytes a pixel, into `target`."""
    size = (job["size"][0], job["size"][1])
    try:
        with opened(job, source) as container:
            stream = stream_of(container)
            if stream is None:
                return {"error": "corrupt_video"}
            for frame in _exact(container, stream, job["wanted"], job["max_pixels"]):
                pixels = memoryview(_upright(frame, size).tobytes())
                while pixels:
                    pixels = pixels[target.write(pixels) :]
    except (FFmpegError, OpensNothing):
        return {"error": "corrupt_video"}
    except OSError:  # FFmpeg's own came before: the pixels found no room
        return {"error": "store_full"}
    return {"notes": []}


def opened(job: dict[str, Any], source: IO[bytes]) -> InputContainer:
    def refuse(url: str, flags: int, options: dict[str, str]) -> Any:
        raise OpensNothing

    options = {"probesize": str(MAX_HEADER), "protocol_whitelist": "pipe"}
    container: InputContainer = av.open(
        source, mode="r", format=job["format"], options=options, io_open=refuse, metadata_errors="replace"
    )
    return container


def stream_of(container: InputContainer) -> VideoStream | None:
    """The first stream that moves: cover art is a picture beside it."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def _index(container: InputContainer, stream: VideoStream, most: int) -> list[tuple[int, int, int]]:
    """Time stamp, key frame's time stamp and duration of every frame, in order of time. One more than `most` is too
    many, and ends the reading."""
    rows: list[tuple[int, int, int]] = []
    # Where frames are out of order in an AVI, their places are known from the second key frame on, see `Places`.
    unplaced = container.format.name == "avi" and stream.codec_context.has_b_frames
    keys: deque[int] = deque(maxlen=3 if unplaced else 2)
    for packet in container.demux(stream):
        stamp = packet.dts if packet.pts is None or container.format.name == "avi" else packet.pts
        if stamp is None or not packet.size or packet.is_discard:
            continue
        if packet.is_keyframe or not keys:
            keys.append(stamp)
        # A frame that is shown before its key frame may rest on the key frame before.
        key = keys[0] if unplaced or stamp < keys[-1] else keys[-1]
        rows.append((stamp, key, max(0, packet.duration or 0)))
        if len(rows) > most:
            break
    rows.sort()
    # The last frame stays as long as it says, or as the others stay on the whole.
    if rows and not rows[-1][2]:
        mean = (rows[-1][0] - rows[0][0]) // max(1, len(rows) - 1)
        rows[-1] = (*rows[-1][:2], max(1, mean))
    return rows


Shown = tuple[int, VideoFrame]
"""A frame and the time stamp at which it is shown."""


def _decoded(container: InputContainer, stream: VideoStream, key: int, max_pixels: int) -> Iterator[Shown]:
    """Frames from a key frame on; a packet that cannot be decoded costs its own frames alone."""
    context = stream.codec_context
    if not context.is_open:
        context.thread_type, context.thread_count = "NONE", 1
        context.options = {"max_pixels": str(max_pixels)}
    container.seek(key, stream=stream, backward=True)
    places = Places() if container.format.name == "avi" else None
    for packet in container.demux(stream):
        if places and packet.size and packet.dts is not None:
            packet.pts = packet.dts  # comes out with the frame, so that the two are known to belong together
            places.feed(packet.dts)
        try:
            decoded = packet.decode()
        except FFmpegError:
            if places and packet.dts is not None:
                places.lose(packet.dts)
            continue
        for frame in decoded:
            stamp = frame.dts if frame.pts is None else frame.pts
            if not isinstance(frame, VideoFrame) or stamp is None:
                continue
            if places:
                # How many frames that lie before this one may be shown after it, at most.
                delay = MOST_HELD_BACK if context.has_b_frames and not frame.key_frame else 0
                stamp = places.take(stamp, delay)
            if stamp is not None and frame.width * frame.height <= max_pixels:
                yield stamp, frame


class Places:
    """The time stamps at which the frames of an AVI are shown. An AVI says in which order its frames lie, not in which
    they are shown: that is the decoder's order. A packet whose frame never comes leaves its place empty.

    Behind a seek the decoder drops, without a word, frames that rest on what came before. A key frame puts this right:
    all that lies before it is shown before it."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        """Packets whose frames did not come yet."""
        self._free: deque[int] = deque()
        """Places that no frame has yet."""

    def feed(self, stamp: int) -> None:
        """A packet goes into the decoder."""
        self._waiting.append(stamp)
        self._free.append(stamp)

    def lose(self, stamp: int) -> None:
        """This packet cannot be decoded."""
        for stamps in (self._waiting, self._free):
            if stamp in stamps:
                stamps.remove(stamp)

    def take(self, stamp: int, held_back: int) -> int | None:
        """The place of the frame that a packet became. Of what lies before it, the decoder holds back so many frames at
        most to show them later: all others were lost without a word."""
        before = sum(waiting < stamp for waiting in self._waiting)
        for _ in range(before - held_back):
            self._waiting.popleft()
            if self._free:
                self._free.popleft()
        if stamp in self._waiting:
            self._waiting.remove(stamp)
        return self._free.popleft() if self._free else None


def _exact(
    container: InputContainer, stream: VideoStream, wanted: list[list[int]], max_pixels: int
) -> Iterator[VideoFrame]:
    """For each time stamp the last frame that is not after it."""
    flow: Iterator[Shown] = iter(())
    shown: Shown | None = None
    following: Shown | None = None
    for stamp, key in wanted:
        if following is None or following[0] < key or (shown is not None and shown[0] > stamp):
            flow, shown = _decoded(container, stream, key, max_pixels), None
            following = next(flow, None)
        while following is not None and following[0] <= stamp:
            shown, following = following, next(flow, None)
        if shown is None:
            # The seek landed behind what was wanted, or what came before is damaged: from the beginning.
            flow = _decoded(container, stream, 0, max_pixels)
            following = next(flow, None)
            while following is not None and (shown is None or following[0] <= stamp):
                shown, following = following, next(flow, None)
        if shown is None:
            raise av.error.InvalidDataError(0, "no frame")
        yield shown[1]


def _upright(frame: VideoFrame, size: tuple[int, int] | None) -> Image.Image:
    """The frame's pixels as they are to be seen, at the clip's size where it changes on the way."""
    untyped: Any = frame
    image: Image.Image = untyped.to_image()
    turn = TURNS.get(frame.rotation % 360)
    upright: Image.Image = image if turn is None else image.transpose(turn)
    return upright if size is None or upright.size == size else upright.resize(size)
