"""`zoomagent models`: which models answer on this machine, which of them take pictures, and how to start one."""

import json
from dataclasses import asdict
from shlex import quote
from typing import Annotated

import typer

from zoomagent.cli.options import Json
from zoomagent.text import printable

MOST = 20
"""Models of one server that are printed."""
WORDS = {"yes": "takes pictures", "no": "text only, by its name", "unknown": "its name does not say: zoomagent doctor"}


def models(
    port: Annotated[
        list[int] | None, typer.Option(min=1, max=65535, help="Look at this port instead of the usual ones; repeat.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that answer on this machine, or say how to start one.

    Looks at 127.0.0.1 only: vLLM 8000, SGLang 30000, llama.cpp 8080, Ollama 11434, LM Studio 1234;
    ZOOMAGENT_PORTS names others. --model auto takes the only one that takes pictures.

    Example: zoomagent models
    """
    from zoomagent.models.server.local_servers import find_servers
    from zoomagent.models.starting import gpu_memory, lines_to_start, memory

    servers = find_servers(port or ())
    seeing = [model for server in servers for model in server.models if model.sight == "yes"]
    starts = [] if seeing else lines_to_start(gpu_memory(), memory())
    if as_json:
        found = [{**asdict(server), "url": server.url} for server in servers]
        typer.echo(json.dumps({"servers": found, "start": starts}, indent=2))
        return
    for server in servers:
        typer.echo(f"{server.program} at {server.url}{': ' + server.trouble if server.trouble else ''}")
        for model in server.models[:MOST]:
            typer.echo(f"  {WORDS[model.sight]:24}  --model {printable(quote(model.spec))}")
        if len(server.models) > MOST:
            typer.echo(f"  and {len(server.models) - MOST} more")
    if seeing:
        # `auto` looks at the usual ports, not at those that were named here.
        chosen = "auto" if len(seeing) == 1 and not port else quote(seeing[0].spec)
        typer.echo(f'\nzoomagent ask photo.jpg "What does the small sign say?" --model {printable(chosen)}')
        return
    nothing = "No model that takes pictures was found" if servers else "No model server answers at the usual ports"
    typer.echo(f"{nothing}. For this machine, one of:")
    for line in starts:
        typer.echo(f"  {line}")
    typer.echo("Then: zoomagent models. A model of a provider: docs/providers.md.")
