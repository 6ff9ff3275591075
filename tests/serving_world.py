"""`zoomagent serve` in a process of its own, for tests of what it says, and of what a kill leaves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 600
"""Seconds until a server that hangs is given up: on a machine with other work, starting one takes long."""
NOBODY = "http://127.0.0.1:9/v1#any"
"""A model's server that is only missed when it is asked."""


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server on a free port, with `folder` to work in, and the address that it tells. It is killed in the end."""
    asked = ["serve", *arguments, "--port", "0", "--model", NOBODY]
    command = [sys.executable, "-m", "zoomagent.cli", *asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            yield server, server.stderr.readline().strip()
        finally:
            server.kill()
