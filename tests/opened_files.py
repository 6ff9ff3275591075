"""Which files anybody opens, by the kernel's word: for tests of what must open nothing."""

import ctypes
import os
import struct
from pathlib import Path


class Opened:
    """Which files of a folder anybody opens, by the kernel's word."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._libc.inotify_add_watch(self._fd, str(folder).encode(), 0x20) >= 0

    def names(self) -> set[str]:
        found: set[str] = set()
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return found
        while data:
            length = struct.unpack_from("iIII", data)[3]
            found.add(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return found

    def close(self) -> None:
        os.close(self._fd)
