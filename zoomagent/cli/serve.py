"""`zoomagent serve`: the agent as a server, one command a face.

Whatever it serves, it opens data: URLs only, unless told which folders and hosts are allowed, and listens on this
machine only, unless ZOOMAGENT_API_KEY is set. A port that is taken and a model that cannot be had are told at once.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoomagent.cli.options import AgentOptions, MaxBytes, MaxPixels, Model, takes
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS, Limits

if TYPE_CHECKING:
    from zoomagent.agent import ZoomAgent
    from zoomagent.plugins.offers.inputs import Allowed

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Root = Annotated[list[str] | None, typer.Option(help="A folder below which pictures may be opened; repeat.")]
AllowHost = Annotated[list[str] | None, typer.Option(help="A host that pictures may be fetched from; repeat.")]
Host = Annotated[str, typer.Option(help="Address to listen on; beyond 127.0.0.1 set ZOOMAGENT_API_KEY.")]
ServedAs = Annotated[list[str] | None, typer.Option(help="Another host name that clients reach it by; repeat.")]


@app.callback()
def serve() -> None:
    """Serve the agent to other programs.

    Example: zoomagent serve page --model http://localhost:8000/v1
    """


@app.command()
@takes
def mcp(
    *,
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP instead of stdin and stdout.")] = False,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port, with --http.")] = 8765,
    model: Model = "nano",
    how: AgentOptions,
    root: Root = None,
    allow_host: AllowHost = None,
    served_as: ServedAs = None,
    max_bytes: MaxBytes = Limits.max_bytes,
    max_pixels: MaxPixels = Limits.max_pixels,
) -> None:
    """Serve tools by the Model Context Protocol, to Claude, editors and agents (extra mcp).

    Example: zoomagent serve mcp --root pictures
    """
    from zoomagent import ZoomAgent
    from zoomagent.plugins.http.guard import body_for, rules_for
    from zoomagent.plugins.mcp.server import CONNECTIONS, PATH, http_app, mcp_server
    from zoomagent.plugins.offers.inputs import picture_opener

    opener = picture_opener(_allowed(root, allow_host, max_bytes, max_pixels))
    with ZoomAgent(model, **how.settings, opener=opener) as agent:
        server = mcp_server(agent, opener)
        if not http:
            # Serve one host over stdin and stdout. Hosts wait some seconds for the first word, so the model is only
            # looked for; it is loaded with the first question.
            import asyncio
            import signal

            from zoomagent.models.loading import check_model
            from zoomagent.plugins.mcp.server import serve_stdio

            check_model(model)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the thread that waits for a line cannot be interrupted
            asyncio.run(serve_stdio(server))
            return
        rules = rules_for(host, None, tuple(served_as or ()), at_once=CONNECTIONS, max_body=body_for(max_bytes))
        _serve(agent, http_app(server, rules, lambda: agent.silence, agent.areach), host, port, PATH)


@app.command()
@takes
def page(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port.")] = 8100,
    model: Model = "nano",
    how: AgentOptions,
    runs: Annotated[Path, typer.Option(envvar="ZOOMAGENT_RUNS", help="Where runs and their pictures are kept.")] = Path(
        "zoomagent-runs"
    ),
    served_as: ServedAs = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Serve a page: ask in the browser, watch the run, step through it, compare two (extra serve).

    Example: zoomagent serve page --runs zoomagent-runs
    """
    from zoomagent import ZoomAgent
    from zoomagent.media.limits import own_limits
    from zoomagent.page.server import guarded_page, page_rules

    rules = page_rules(host, tuple(served_as or ()), max_bytes=max_bytes)
    with ZoomAgent(model, **how.settings) as agent:
        _serve(agent, guarded_page(agent, runs, rules, own_limits(max_bytes, max_pixels)), host, port, "/")


@app.command()
@takes
def openai(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port.")] = 8200,
    model: Model = "nano",
    how: AgentOptions,
    at_once: Annotated[int, typer.Option(min=1, help="Runs at the same time; more wait.")] = 64,
    root: Root = None,
    allow_host: AllowHost = None,
    served_as: ServedAs = None,
    max_bytes: MaxBytes = Limits.max_bytes,
    max_pixels: MaxPixels = Limits.max_pixels,
) -> None:
    """Serve the agent as if it were a model, to any client of OpenAI's chat API (extra serve).

    Example: zoomagent serve openai --strategy dualfocus --at-once 16
    """
    from zoomagent import ZoomAgent
    from zoomagent.plugins.http.guard import body_for, rules_for
    from zoomagent.plugins.offers.inputs import picture_opener
    from zoomagent.plugins.openai.endpoint import openai_app

    rules = rules_for(host, None, tuple(served_as or ()), at_once=at_once, max_body=body_for(max_bytes))
    opener = picture_opener(_allowed(root, allow_host, max_bytes, max_pixels))
    with ZoomAgent(model, **how.settings, opener=opener, connections=at_once) as agent:
        _serve(agent, openai_app(agent, rules), host, port, "/v1")


def _allowed(roots: list[str] | None, hosts: list[str] | None, max_bytes: int, max_pixels: int) -> "Allowed":
    from zoomagent.plugins.offers.inputs import Allowed

    for root in roots or ():
        if not os.path.isdir(root):
            raise typer.BadParameter(f"{root!r} is no folder", param_hint="--root")
    return Allowed(tuple(roots or ()), tuple(hosts or ()), max_bytes, max_pixels)


def _serve(agent: "ZoomAgent", app: object, host: str, port: int, path: str) -> None:
    """Take the port, load the model, serve; a model's server that is not there now may come."""
    import asyncio

    from zoomagent.plugins.http.listening import listening_socket, serve_on

    with listening_socket(host, port) as listening:
        silence = asyncio.run(agent.areach())
        serve_on(listening, app, host, path, f"Serving all the same, but: {silence}" if silence else "")
