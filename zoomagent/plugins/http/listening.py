"""Where an HTTP face listens: the port is taken before anything is loaded, so that a busy one is told at once.

    with taken("127.0.0.1", 0) as listening:
        serve_on(listening, app, "127.0.0.1", "/v1")        # says http://127.0.0.1:43121/v1

Left out: several addresses at once. A name that has more than one is served on the first.
"""

import contextlib
import logging
import socket
from typing import Any

import typer
import uvicorn

from zoomagent.errors import SettingInvalid
from zoomagent.plugins.http.connections import BACKLOG, Connection, LogLimit
from zoomagent.text import printable


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there. SettingInvalid where that cannot be."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = f"Cannot listen on port {port} of {host} ({error.strerror})."
        raise SettingInvalid(f"{why} Stop what uses it, or give another --port or --host.") from error


def address_of(listening: socket.socket, host: str, path: str) -> str:
    """What clients are told, with the port that was really taken."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}{path}"


def serve_on(listening: socket.socket, app: Any, host: str, path: str, notice: str = "") -> None:
    """Serve until interrupted; requests that run then have some seconds to end. `notice` is told after the address."""
    typer.echo(address_of(listening, host, path), err=True)
    if notice:
        typer.echo(printable(notice), err=True)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        backlog=BACKLOG,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(LogLimit())
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
