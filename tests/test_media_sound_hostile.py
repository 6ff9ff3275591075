"""Hostile sounds: each ends typed or opens as what it is; nothing else is opened, nothing is left."""

import os
import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("av")

import numpy as np
from opened_files import Opened
from sound_files import encoded, tone, wav

from zoomagent.errors import InputRefused, ZoomAgentError
from zoomagent.media import SoundLimits, open_sound
from zoomagent.media.decoding import worker
from zoomagent.moments import Moment

LIMITS = SoundLimits(max_bytes=3_000_000, max_seconds=60, decode_seconds=5.0, decode_bytes=400_000_000)
CODES = {"unsupported_sound", "corrupt_sound", "no_sound", "too_many_streams", "sound_too_long", "too_many_bytes"}
CODES |= {"decode_timeout", "decode_memory", "decode_crashed"}
BAIT = "bait.wav"
STARTS = {
    "wav": b"RIFF\xff\0\0\0WAVEfmt ",
    "flac": b"fLaC\0\0\0\x22",
    "mp3": b"ID3\x04\0\0\0\0\0\0",
    "ogg": b"OggS\0\x02",
    "m4a": b"\0\0\0\x18ftypM4A \0\0\0\0",
}


@cache
def base(format: str) -> bytes:
    samples = tone(2, 0.5, 1)
    if format == "wav":
        return wav(samples)
    if format == "ogg":
        return encoded(tone(2, 0.5, 1, rate=48_000), "ogg", "libopus", 48_000)
    return encoded(samples, format, {"flac": "flac", "mp3": "libmp3lame", "mp4": "aac"}[format])


def playlists() -> Iterator[tuple[str, bytes]]:
    """Texts that FFmpeg, left to guess, would follow; bare, and behind each format's first bytes."""
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile {BAIT}\n",
        "m3u8": f"#EXTM3U\n#EXTINF:3,\n{BAIT}\n#EXT-X-ENDLIST\n",
        "m3u8 to an address": "#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:9/x.ts\n",
        "pls": f"[playlist]\nFile1={BAIT}\n",
        "cue sheet": f'FILE "{BAIT}" WAVE\n  TRACK 01 AUDIO\n',
    }
    for name, text in texts.items():
        yield name, text.encode()
        for format, start in STARTS.items():
            yield f"{name} behind {format}", start + text.encode()


def damaged() -> Iterator[tuple[str, bytes]]:
    for format in ("wav", "flac", "mp3", "ogg", "mp4"):
        data, draws = base(format), random.Random(format)
        for share in (0.01, 0.3, 0.9):
            yield f"{format} cut at {share}", data[: int(len(data) * share)]
        for seed in range(3):
            yield f"{format} noise {seed}", data[:48] + draws.randbytes(3000)
            flipped = bytearray(data)
            for _ in range(40):
                flipped[draws.randrange(20, len(data))] = draws.randrange(256)
            yield f"{format} flipped {seed}", bytes(flipped)
        yield f"{format} twice", data + data
    yield from STARTS.items()
    yield from (("nothing", b""), ("one byte", b"\0"), ("zeros", bytes(4096)))


def header(channels: int, rate: int, width: int = 16, tag: int = 1, size: int = 64_000) -> bytes:
    block = channels * width // 8
    fmt = struct.pack("<HHIIHH", tag, channels & 0xFFFF, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, width)
    return (
        b"RIFF"
        + struct.pack("<I", 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", size)
    )


def lying() -> Iterator[tuple[str, bytes]]:
    """Headers that say what is not so."""
    data = bytes(64_000)
    yield "no channels", header(0, 16_000) + data
    yield "65,535 channels", header(65_535, 16_000) + data
    yield "no rate", header(1, 0) + data
    yield "a rate of one", header(1, 1) + data
    yield "a rate of 4 thousand millions", header(1, 0xFFFFFFFF) + data
    yield "no bits", header(1, 16_000, 0) + data
    yield "a codec that nobody knows", header(1, 16_000, 16, 0x7777) + data
    yield "more data than there is", header(1, 16_000, 16, 1, 0xFFFFFFFF) + data
    yield "no data", header(1, 16_000, 16, 1, 0)
    yield "floats that are no numbers", header(1, 16_000, 32, 3) + struct.pack("<f", float("nan")) * 16_000
    yield "floats without end", header(1, 16_000, 32, 3) + struct.pack("<f", float("inf")) * 16_000
    yield "a huge tag", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + base("mp3")
    yield "a tag of covers", b"ID3\x04\0\0" + bytes([0, 0x7F, 0x7F, 0x7F]) + b"APIC" + bytes(2_000_000)
    flac = bytearray(base("flac"))
    flac[18:26] = b"\xff" * 8
    yield "a flac of all bits", bytes(flac)
    ogg = bytearray(base("ogg"))
    last = ogg.rindex(b"OggS")
    ogg[last + 6 : last + 14] = struct.pack("<q", 1 << 60)
    yield "an ogg of thousands of years", bytes(ogg)
    yield "minutes in a few bytes", encoded(np.zeros(16_000 * 90, np.float32), "flac", "flac")


def looked_at(data: bytes) -> str:
    """The code of a refusal, or "" where samples came out."""
    try:
        with open_sound(data, limits=LIMITS) as sound:
            assert 0 < sound.duration <= 1000 * LIMITS.max_seconds and 0 <= sound.loudest <= 1
            samples = sound.samples(Moment(0, sound.duration))
            assert len(samples) and np.isfinite(samples).all()
    except ZoomAgentError as error:
        assert isinstance(error, InputRefused) and "/" not in str(error)
        return error.code
    return ""


def test_every_hostile_sound_ends_typed_and_opens_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {**dict(playlists()), **dict(damaged()), **dict(lying())}
    assert len(hostile) >= 80
    (tmp_path / BAIT).write_bytes(base("wav"))
    worker._POOL.close()
    monkeypatch.chdir(tmp_path)  # where a decoder would look for a name without a folder
    assert looked_at(base("wav")) == ""
    before, watch = len(os.listdir("/proc/self/fd")), Opened(tmp_path)
    codes = {name: looked_at(data) for name, data in hostile.items()}
    assert watch.names() == set()
    watch.close()
    assert {name: code for name, code in codes.items() if code and code not in CODES} == {}
    assert {name for name, _ in playlists() if not codes[name]} == set()
    assert codes["minutes in a few bytes"] == "sound_too_long"
    assert {codes[f"{format} twice"] for format in ("wav", "flac", "mp3", "ogg", "mp4")} == {""}
    assert len(os.listdir("/proc/self/fd")) <= before
    assert looked_at(base("wav")) == "", "the next sound opens"
    worker._POOL.close()


def test_a_clip_without_sound_and_a_sound_without_pictures_are_told_apart() -> None:
    from video_files import clip

    assert looked_at(clip(8, gop=4, b_frames=0, format="mp4", codec="libx264")) == "no_sound"
    assert looked_at(base("mp4")) == ""
