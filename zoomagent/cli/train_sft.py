"""`zoomagent train sft`: supervised training, from random weights or on trajectories."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoomagent.training.adapters import LORA_TARGETS

LORA = ",".join(LORA_TARGETS)


def sft(
    preset: Annotated[str | None, typer.Option(help="From random weights: nano, or nano-large (for a GPU).")] = None,
    model: Annotated[str | None, typer.Option(help="On trajectories: nano, a folder, or a Qwen-VL hub name.")] = None,
    data: Annotated[Path | None, typer.Option(help="What zoomagent data trajectories wrote; with --model.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for checkpoints and log; resumes from it.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.  [12000; --model: 1000]")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Scenes or conversations per step and process.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which rows, in which order.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw or load.")] = 1,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints and held-out scores.")] = 500,
    dense_steps: Annotated[int, typer.Option(min=0, help="--preset: the first of the steps, tower alone.")] = 3_000,
    level: Annotated[str, typer.Option(help="--preset: small or full.")] = "small",
    start_from: Annotated[
        Path | None, typer.Option(help="--preset: a state folder of an earlier run, or a checkpoint.")
    ] = None,
    sounds: Annotated[
        float, typer.Option(min=0, max=1, help="--preset: share of the rows that are about spectrograms of sounds.")
    ] = 0.0,
    fonts: Annotated[Path | None, typer.Option(help="--preset: a folder of fonts to write texts with too.")] = None,
    photographs: Annotated[Path | None, typer.Option(help="--preset: a folder of pictures as backgrounds.")] = None,
    stage: Annotated[
        Literal["align", "ground", "instruct"] | None,
        typer.Option(help="--model: a stage of GroundingGPT's: what trains, which rows, which rate."),
    ] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="--stage: data of an earlier stage, mixed in; repeat it for more.")
    ] = None,
    earlier_share: Annotated[float, typer.Option(min=0, max=0.9, help="--earlier: its share of the rows.")] = 0.2,
    accumulate: Annotated[int, typer.Option(min=1, help="--model: batches that make one step.")] = 1,
    lora: Annotated[int, typer.Option(min=0, help="--model: rank of LoRA; 0 trains everything.")] = 0,
    lora_targets: Annotated[str, typer.Option(help="--model: layers of the text model that LoRA adapts.")] = LORA,
    precision: Annotated[
        Literal["bf16", "fp32"] | None, typer.Option(help="Default bf16 where the GPU can; --preset: fp32.")
    ] = None,
    checkpointing: Annotated[
        bool | None, typer.Option(help="--model: recompute activations; default from 1e9 parameters.")
    ] = None,
    max_length: Annotated[int, typer.Option(min=1, help="--model: tokens; longer rows are dropped, counted.")] = 8192,
    held_out: Annotated[int, typer.Option(min=0, help="--model: held-out rows scored at checkpoints.")] = 64,
) -> None:
    """Supervised training: --model on trajectories, or --preset from random weights on the streamed mix. Resumable.

    Example: zoomagent train sft --model nano --data runs/trajectories --steps 200 --rate 1e-4 --out runs/sft
    """
    if model is None and data is not None:
        raise typer.BadParameter("--data needs a model to train; give --model nano", param_hint="--model")
    if model is not None and (preset is not None or data is None):
        raise typer.BadParameter("give --data, and no --preset, with --model", param_hint="--model")
    from zoomagent.training.sft.exporting import usage

    numbers = {"steps": steps, "rows": rows, "out": out, "rate": rate}
    shared = {name: value for name, value in numbers.items() if value is not None}
    shared |= {"seed": seed, "workers": workers, "save_every": save_every}
    if model is None or data is None:
        more = {"dense_steps": dense_steps, "level": level, "start_from": start_from, "sounds": sounds}
        more |= {"fonts": fonts, "photographs": photographs, "precision": precision or "fp32"}
        folder = _train_from_random({"preset": preset or "nano", **shared, **more})
        typer.echo(f"Weights in {folder}. Use them:\n{usage(folder)}")
        return
    from zoomagent.training.sft.run import Settings, train

    targets = tuple(name.strip() for name in lora_targets.split(","))
    lora_how = {"lora": lora, "lora_targets": targets, "precision": precision, "checkpointing": checkpointing}
    staged = {"stage": stage, "earlier": tuple(earlier or ()), "earlier_share": earlier_share}
    more = {**staged, "accumulate": accumulate, "max_length": max_length, "held_out": held_out, **lora_how}
    given: dict[str, Any] = {"out": Path("runs/sft"), "steps": 1000, "model": model, "data": data, **shared, **more}
    typer.echo(f"Use it:\n{usage(train(Settings(**given)))}")


def _train_from_random(given: dict[str, Any]) -> Path:
    from zoomagent.data.world.scene import LEVELS
    from zoomagent.training.nano.run import PRESETS, Settings, train

    for name, value, known in (("--preset", given["preset"], PRESETS), ("--level", given["level"], LEVELS)):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not known; use one of {', '.join(known)}", param_hint=name)
    return train(Settings(**{"out": Path("runs/nano"), "evaluate_every": given["save_every"], **given}))
