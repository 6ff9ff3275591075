"""The reinforcement commands of `zoomagent train`: select-resolution, rl, probe."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from zoomagent.cli.options import OldOut, ProfileName, Table, out_of, place_file

Stage = Literal["gap", "box"]
OnCollapse = Literal["stop", "raise-tool", "restore"]


def select_resolution(
    model: Annotated[str, typer.Option(help="The model to be trained: nano, a folder, hf:NAME or a base URL.")],
    data: Annotated[Path, typer.Option(help="What `zoomagent data trajectories` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the rows with their resolution; resumes from it.")],
    profile: ProfileName = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    split: Annotated[str, typer.Option(help="train or held-out.")] = "train",
    ratio: Annotated[float, typer.Option(min=0.05, max=0.95, help="Pixels of a level, as a share of the last.")] = 0.5,
    floor: Annotated[int, typer.Option(min=0, help="Fewest pixels of a level; 0: the model's own least.")] = 0,
    keep_unbroken: Annotated[
        bool, typer.Option(help="Keep rows whose answer never changed; they are shown in full.")
    ] = False,
) -> None:
    """For each row, find the resolution at which the model's own answer breaks (for `rl --stage gap`).

    Example: zoomagent train select-resolution --model nano --data runs/trajectories --limit 500 --out runs/gap
    """
    from rich.progress import Progress

    from zoomagent.models.loading import fingerprint, load_model, profile_fields, resolve
    from zoomagent.training.rl.resolution import Steps, select_all, write
    from zoomagent.training.rl.rows import load_rows

    steps, found = Steps(ratio, floor), load_rows(data, split, whole=True, limit=limit)
    model, fields = resolve(model), profile_fields(profile)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=len(found.rows))
        selected = select_all(
            load_model(model, profile=fields),
            found,
            out,
            steps,
            fingerprint(model, fields),
            lambda done: bar.update(task, completed=done),
        )
    told = write(found, selected, out, steps, split, keep_unbroken)
    typer.echo(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in told.items()))
    typer.echo(
        f"Rows in {out}. Train on them: zoomagent train rl --stage gap --model {quote(model)} "
        f"--data {quote(str(out))} --out DIR"
    )


def rl(
    data: Annotated[Path, typer.Option(help="What `select-resolution` or `zoomagent data trajectories` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the log, checkpoints and weights; resumes from it.")],
    stage: Annotated[Stage, typer.Option(help="gap (learn to focus) or box (learn to crop precisely).")] = "gap",
    model: Annotated[str, typer.Option(help="nano, a checkpoint folder or hf:NAME.")] = "nano",
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 80,
    recipe: Annotated[
        Literal["auto", "lfpc", "nano"], typer.Option(help="Numbers to begin with; auto: nano for the nano model.")
    ] = "auto",
    prompts: Annotated[int | None, typer.Option(min=1, help="Questions per step.")] = None,
    group: Annotated[int | None, typer.Option(min=2, help="Rollouts per question.")] = None,
    micro: Annotated[int | None, typer.Option(min=1, help="Rollouts that go through the model at once.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Learning rate.")] = None,
    turns: Annotated[int | None, typer.Option(min=2, help="Turns of the model in a rollout.")] = None,
    reply: Annotated[int | None, typer.Option(min=8, help="Tokens of a turn's reply at most.")] = None,
    tools: Annotated[str, typer.Option(help="Tools offered, by name and comma; empty: the rows' or the model's.")] = "",
    search: Annotated[
        Literal["refused", "annotated"], typer.Option(help="What a search comes to; annotated: it finds the target.")
    ] = "refused",
    search_cost: Annotated[
        float, typer.Option(min=0, help="Taken off the reward for every search: at run time one is ten calls.")
    ] = 0.0,
    on_collapse: Annotated[OnCollapse, typer.Option(help="What to do when tool calls collapse.")] = "stop",
    floor: Annotated[float, typer.Option(min=0, max=1, help="Share of rollouts with a crop that is a collapse.")] = 0.1,
    patience: Annotated[int, typer.Option(min=1, help="Steps under the floor before the guard acts.")] = 5,
    lora: Annotated[int, typer.Option(min=0, help="Rank of adapters; 0 trains all weights.")] = 0,
    vllm: Annotated[bool, typer.Option(help="Sample with vLLM in the same process (a GPU, and trl[vllm]).")] = False,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Order of the rows, and sampling.")] = 1,
) -> None:
    """Reinforcement (GRPO) in two stages, with tool calls that are really run. Resumable.

    Example: zoomagent train rl --stage gap --model nano --data runs/gap --steps 50 --out runs/rl-gap
    """
    from dataclasses import replace

    from zoomagent.training.base import Base
    from zoomagent.training.rl.guard import GuardConfig
    from zoomagent.training.rl.run import LFPC, NANO, STAGES, Settings
    from zoomagent.training.rl.run import train as run

    base = NANO if recipe == "nano" or (recipe == "auto" and Base.open(model).is_nano) else LFPC
    numbers: dict[str, Any] = {
        "prompts": prompts,
        "group": group,
        "micro": micro,
        "rate": rate,
        "turns": turns,
        "reply": reply,
    }
    folder = run(
        Settings(
            out=out, data=data, model=model, stage=stage, steps=steps, lora=lora, vllm=vllm, save_every=save_every,
            seed=seed, limit=limit, tools=tuple(tools.split(",")) if tools else (), search=search,
            rewards=replace(STAGES[stage], search=search_cost) if search_cost else None,
            recipe=replace(base, **{name: value for name, value in numbers.items() if value is not None}),
            guard=GuardConfig(on_collapse=on_collapse, floor=floor, patience=patience),
        ),
        typer.echo,
    )  # fmt: skip
    from zoomagent.training.sft.exporting import usage

    typer.echo(f"Weights in {folder}. Use them:\n{usage(folder)}")


def probe(
    model: Annotated[str, typer.Argument(help="nano, a checkpoint folder, hf:NAME or a base URL.")],
    data: Annotated[Path, typer.Option(help="What `zoomagent data trajectories` or `select-resolution` wrote.")],
    profile: ProfileName = None,
    split: Annotated[str, typer.Option(help="train or held-out.")] = "held-out",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    tools: Annotated[str, typer.Option(help="Tools offered, by name and comma; empty: the rows' or the model's.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write figures and rows as JSON here.", callback=place_file)] = None,
    old_out: OldOut = None,
    format: Table = "text",
) -> None:
    """Health check: does the model look at its crops? Accuracy with its own, with the true place, and with noise.

    Example: zoomagent train probe runs/rl-gap/checkpoint --data runs/trajectories --limit 100 --out probe.json
    """
    import json

    from rich.progress import Progress

    from zoomagent.models.loading import load_model
    from zoomagent.training.rl.environment import EnvConfig
    from zoomagent.training.rl.probe import as_json, table
    from zoomagent.training.rl.probe import probe as run
    from zoomagent.training.rl.rows import alike, load_rows

    out = out_of(out, old_out)
    found, asked = load_rows(data, split, limit=limit), load_model(model, profile=profile)
    offered = tuple(tools.split(",")) if tools else alike(found.rows)[1]
    config = EnvConfig(asked.profile, found.images, offered, search="annotated")
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=sum(bool(row["targets"]) for row in found.rows))
        probed = run(asked, config, found.rows, lambda done: bar.update(task, completed=done))
    told = as_json(probed)
    content = json.dumps(told, indent=2)
    if out:
        out.write_text(content + "\n", encoding="utf-8")
    typer.echo(content if format == "json" else table(told))
