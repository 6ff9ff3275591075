"""Runs `decoder.py` in a process of its own that can hang, abort or eat memory without harm to ours.

A few idle workers are kept warm; a worker that misbehaved is killed and replaced. Jobs are plain JSON, files go
over as descriptors. POSIX only (descriptor passing, resource limits).
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from zoomagent.errors import InputRefused, StoreError
from zoomagent.media.patience import seconds_left

START_SECONDS = 60.0
MAX_REPLY = 1 << 20
"""Bytes of a reply: words and numbers, no pixels."""
SPARE = min(4, os.cpu_count() or 1)
"""Idle decoders that are kept warm: as many as can work at once."""
_HOME = str(Path(__file__).resolve().parents[3])
COMMAND = (sys.executable, "-S", "-m", "zoomagent.media.decoding.decoder")

_WHY = {
    "unsupported_image": "This is no picture that zoomagent reads. Give JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, "
    "JPEG 2000 or PDF.",
    "deep_jpeg": "A JPEG of more than 8 bits is not read. Save it as PNG or TIFF.",
    "tiff_needs_large": 'Such a TIFF needs an extra. Run: pip install "zoomagent[large]", or save it with 8 bits.',
    "needs_password": "This PDF asks for a password. Save it without one.",
    "metadata_too_large": "The picture carries more metadata, or is cut into more parts, than is allowed. "
    "Save it anew without metadata.",
    "corrupt_image": "The picture file is damaged and cannot be decoded. Give an intact file.",
    "decode_timeout": "Decoding the picture took too long and was stopped. Give a smaller or plainer file.",
    "decode_crashed": "The decoder broke down on this picture. Save it anew in another format.",
    "decode_memory": "Decoding the picture needs more memory than allowed. Give a smaller one, or raise "
    "Limits.decode_bytes.",
    "corrupt_video": "The video is damaged, or holds no frames that can be decoded. Give an intact file.",
    "too_many_streams": "The file holds more streams than are allowed. Keep the one that is asked about.",
    "video_too_long": "The video is longer, or has more frames, than is allowed. Cut out the part that matters.",
    "corrupt_sound": "The sound is damaged, or holds no samples that can be decoded. Give an intact file.",
    "no_sound": "This file has no sound.",
    "sound_too_long": "The sound is longer, or cut into more parts, than is allowed. Cut out the part that matters.",
    "bad_frame": "The file has no such page. Pages are counted from 1, frames from 0.",
}


def decode(job: dict[str, Any], source_fd: int, target_fd: int) -> dict[str, Any]:
    """Run one job; its reply, InputRefused with a stable code, or RunError when the time of `patience` is over."""
    seconds_left()
    worker = _POOL.take()
    try:
        reply = worker.ask(job, source_fd, target_fd)
    except BaseException:
        worker.kill()
        raise
    _POOL.give_back(worker)
    error = reply.get("error")
    if error == "store_full":
        raise StoreError("The disk is full. Free space or set TMPDIR.", code="store_full")
    if error is not None:
        raise refusal(error if isinstance(error, str) and error in _WHY else "decode_crashed")
    return reply


def refusal(code: str) -> InputRefused:
    """The refusal of a picture that could not be opened or decoded."""
    return InputRefused(_WHY[code], code=code)


class Worker:
    """One decoder process and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        self._socket = ours
        self._ready = False

    def ask(self, job: dict[str, Any], source_fd: int, target_fd: int) -> dict[str, Any]:
        """Send a job and wait for its reply: its seconds of processor time, three times that by the clock."""
        if not self._ready:
            self._receive(START_SECONDS)
            self._ready = True
        message = json.dumps(job).encode() + b"\n"
        try:
            socket.send_fds(self._socket, [message[:4096]], [source_fd, target_fd])
            self._socket.sendall(message[4096:])
        except OSError as error:
            raise refusal(self._cause()) from error
        return self._receive(3 * job["seconds"] + 1)

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline, message = time.monotonic() + min(seconds, seconds_left()), b""
        try:
            while not message.endswith(b"\n"):
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                block = self._socket.recv(1 << 16)
                if not block:
                    raise refusal(self._cause())
                message += block
                if len(message) > MAX_REPLY:
                    raise refusal("decode_crashed")
        except TimeoutError as error:
            seconds_left()
            raise refusal("decode_timeout") from error
        except OSError as error:
            raise refusal(self._cause()) from error
        try:
            reply = json.loads(message)
        except (ValueError, RecursionError) as error:
            raise refusal("decode_crashed") from error
        if not isinstance(reply, dict):  # a decoder that a file took over may say anything
            raise refusal("decode_crashed")
        return reply

    def _cause(self) -> str:
        """Why the process hung up; one that has not ended a second later only broke off."""
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "decode_crashed"
        return {-signal.SIGXCPU: "decode_timeout", -signal.SIGKILL: "decode_memory"}.get(status, "decode_crashed")

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process and give back its socket; never fails, never waits long."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


class _Pool:
    """At most SPARE idle workers; busy ones belong to whoever took them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def take(self) -> Worker:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.alive():
            return worker
        if worker is not None:
            worker.kill()
        return Worker()

    def give_back(self, worker: Worker) -> None:
        with self._lock:
            if len(self._idle) < SPARE:
                self._idle.append(worker)
                return
        worker.kill()

    def close(self) -> None:
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.kill()

    def forget(self) -> None:
        """After a fork: the workers are the parent's."""
        self._lock = threading.Lock()
        self._idle = []


def _environment() -> dict[str, str]:
    """What the decoder needs and nothing of ours: no keys, no proxies."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join([_HOME, *(entry for entry in sys.path if entry)]),
        "PYTHONSAFEPATH": "1",
        # Large buffers go back to the system after each job, so that a warm worker stays small.
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "1000000",
        "VIPS_CONCURRENCY": "1",
        "VIPS_BLOCK_UNTRUSTED": "1",
    }


_POOL = _Pool()
atexit.register(_POOL.close)
with contextlib.suppress(AttributeError):
    os.register_at_fork(after_in_child=_POOL.forget)
