"""Hostile clips: each ends typed or opens as what it is; nothing else is opened, nothing is left."""

import os
import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from opened_files import Opened
from video_files import clip

from zoomagent.errors import InputRefused, ZoomAgentError
from zoomagent.media import VideoLimits, open_media, open_video
from zoomagent.media.decoding import worker

LIMITS = VideoLimits(max_bytes=2_000_000, max_pixels=1_000_000, decode_seconds=5.0, decode_bytes=400_000_000)
CODES = {"unsupported_video", "corrupt_video", "too_many_streams", "video_too_long", "too_many_pixels", "bad_aspect"}
CODES |= {"decode_timeout", "decode_memory", "decode_crashed", "too_many_bytes"}
BAIT = "bait.mp4"


@cache
def base(format: str) -> bytes:
    codec = "mpeg4" if format == "avi" else "libx264"
    return clip(8, gop=4, b_frames=0, format=format, codec=codec)


def playlists() -> Iterator[tuple[str, bytes]]:
    """Texts that FFmpeg, left to guess, would follow to other files and addresses."""
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile {BAIT}\n",
        "concat without its head": f"file '{BAIT}'\nduration 3\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{BAIT}\n#EXT-X-ENDLIST\n",
        "m3u8 to an address": "#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:9/x.ts\n",
        "m3u8 with a key file": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="file:{BAIT}"\n#EXTINF:3,\n{BAIT}\n',
        "pls": f"[playlist]\nFile1={BAIT}\n",
        "asx": f'<asx version="3.0"><entry><ref href="{BAIT}"/></entry></asx>',
        "mpd": f'<?xml version="1.0"?><MPD><Period><BaseURL>{BAIT}</BaseURL></Period></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "image sequence": f"{BAIT}%03d.png",
        "script": "#!/bin/sh\ntouch bait\n",
        "ass subtitles": "[Script Info]\nTitle: x\n",
    }
    for name, text in texts.items():
        yield name, text.encode()
        yield f"{name} behind an mp4's first bytes", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + text.encode()


def damaged() -> Iterator[tuple[str, bytes]]:
    for format in ("mp4", "matroska", "avi"):
        data, draws = base(format), random.Random(format)
        for share in (0.01, 0.1, 0.3, 0.6, 0.9, 0.99):
            yield f"{format} cut at {share}", data[: int(len(data) * share)]
        for seed in range(4):
            yield f"{format} noise {seed}", data[:48] + draws.randbytes(3000)
            flipped = bytearray(data)
            for _ in range(40):
                flipped[draws.randrange(40, len(data))] = draws.randrange(256)
            yield f"{format} flipped {seed}", bytes(flipped)
        yield f"{format} twice", data + data
    for name, start in (("mov", b"\0\0\0\x08ftyp"), ("mkv", b"\x1a\x45\xdf\xa3"), ("avi", b"RIFF\0\0\0\0AVI ")):
        yield f"{name}, first bytes alone", start
    yield from (("nothing", b""), ("one byte", b"\0"), ("zeros", bytes(4096)))


def patched(data: bytes, atom: bytes, offset: int, value: bytes) -> bytes:
    """An mp4 with other bytes in one of its atoms; `offset` is from behind the atom's name."""
    at = data.index(atom) + 4 + offset
    return data[:at] + value + data[at + len(value) :]


def lying() -> Iterator[tuple[str, bytes]]:
    """Headers that say what is not so."""
    data, most = base("mp4"), b"\xff\xff\xff\xff"
    yield "65000 x 65000 by the sample's description", patched(data, b"avc1", 24, struct.pack(">HH", 65000, 65000))
    yield (
        "65000 x 65000 by the track's header",
        patched(data, b"tkhd", 76, struct.pack(">II", 65000 << 16, 65000 << 16)),
    )
    yield "no size", patched(data, b"avc1", 24, bytes(4))
    yield "no time scale", patched(data, b"mdhd", 12, bytes(4))
    yield "a time scale of one", patched(data, b"mdhd", 12, struct.pack(">I", 1))
    yield "a huge time scale", patched(data, b"mdhd", 12, most)
    yield "no time between frames", patched(data, b"stts", 12, bytes(4))
    yield "years between frames", patched(data, b"stts", 12, b"\x7f\xff\xff\xff")
    yield "frames without number", patched(data, b"stts", 8, most)
    yield "a table without end", patched(data, b"stts", 4, most)
    yield "sizes without end", patched(data, b"stsz", 8, most)
    yield "chunks behind the end", patched(data, b"stco", 8, most)
    yield "key frames that are none", patched(data, b"stss", 8, b"\0\0\0\x05")
    yield "an atom larger than the file", patched(data, b"moov", -8, most)
    yield "an atom of no length", patched(data, b"trak", -8, bytes(4))
    yield "another codec", patched(data, b"avc1", -4, b"mp4v")
    yield "a codec that nobody knows", patched(data, b"avc1", -4, b"zzzz")
    yield "data in another file", patched(data, b"url ", 0, b"\0\0\0\0")
    avi = base("avi")
    at = avi.index(b"strh") + 8 + 20
    yield "no frame rate", avi[:at] + bytes(8) + avi[at + 8 :]
    yield "a frame rate of 4 thousand millions", avi[:at] + struct.pack("<II", 1, 0xFFFFFFFF) + avi[at + 8 :]
    yield "a frame in 4 thousand million seconds", avi[:at] + struct.pack("<II", 0xFFFFFFFF, 1) + avi[at + 8 :]


@cache
def hostile() -> dict[str, bytes]:
    return {**dict(playlists()), **dict(damaged()), **dict(lying())}


def looked_at(data: bytes) -> str:
    """The code of a refusal, or "" where frames came out."""
    try:
        with open_video(data, limits=LIMITS) as video:
            assert video.size.pixels <= LIMITS.max_pixels and 0 < video.duration <= 1000 * LIMITS.max_seconds
            for time in (0, video.duration // 2, video.duration - 1):
                assert video.frame(time).size == (video.size.width, video.size.height)
    except ZoomAgentError as error:
        assert isinstance(error, InputRefused) and "/" not in str(error)
        return error.code
    return ""


def test_every_hostile_clip_ends_typed_and_opens_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(hostile()) >= 60
    (tmp_path / BAIT).write_bytes(base("mp4"))
    worker._POOL.close()
    monkeypatch.chdir(tmp_path)  # where a decoder would look for a name without a folder
    assert looked_at(base("mp4")) == ""
    before, watch = len(os.listdir("/proc/self/fd")), Opened(tmp_path)
    codes = {name: looked_at(data) for name, data in hostile().items()}
    assert watch.names() == set()
    (tmp_path / BAIT).read_bytes()
    assert watch.names() == {BAIT}, "the watch would have seen it"
    watch.close()
    assert {name: code for name, code in codes.items() if code and code not in CODES} == {}
    assert {name for name, _ in playlists() if not codes[name]} == set()
    assert all(codes[name] == "unsupported_video" for name, _ in playlists() if "behind" not in name)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert looked_at(base("mp4")) == "", "the next clip opens"
    worker._POOL.close()


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "ffconcat", "jpg"])
def test_a_playlist_is_refused_whatever_its_file_is_called(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"list.{ending}"
    file.write_text(f"ffconcat version 1.0\nfile {BAIT}\n")
    with pytest.raises(InputRefused) as refused:
        open_media(file)
    assert refused.value.code == "unsupported_image"


def many(streams: int) -> bytes:
    import io

    import av

    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as container:
        tracks = [container.add_stream("mpeg4", rate=10) for _ in range(streams)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        for track in tracks:
            for packet in [*track.encode(av.VideoFrame(32, 32, "yuv420p")), *track.encode(None)]:
                container.mux(packet)
    return target.getvalue()


def test_a_clip_of_many_streams_is_refused() -> None:
    assert looked_at(many(8)) == ""
    assert looked_at(many(40)) == "too_many_streams"
