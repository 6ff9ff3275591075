"""Reinforcement in two stages, after LFPC (arXiv 2603.27494): learn to focus, then learn to crop precisely.

    zoomagent train rl --stage gap --model nano --data runs/gap --steps 50 --out runs/rl-gap
    zoomagent train rl --stage box --model runs/rl-gap/checkpoint --data OUT --steps 20 --out runs/rl-box

GRPO without KL term and without entropy term on TRL's trainer: whole episodes of `ZoomEnv`, tool calls with images and
all, are sampled and rewarded (`rewards.py`). `gap` shows rows at their `resolution`, where they have one; `box` takes
the rows with `nested` boxes and adds the geometry reward. Resumes from `out`; ends in a plain checkpoint. Left out: a
reference model, judges, and many nodes (`examples/verl`).
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoomagent.errors import RunError, SettingInvalid
from zoomagent.files import check_settings
from zoomagent.geometry import Size
from zoomagent.models.profiles import Profile
from zoomagent.training.adapters import lora
from zoomagent.training.resuming import SETTINGS, all_made, newest
from zoomagent.training.rl.environment import WITHOUT_MODEL, EnvConfig
from zoomagent.training.rl.guard import Guard, GuardConfig
from zoomagent.training.rl.rewards import BOX, GAP, RewardConfig
from zoomagent.training.rl.rows import Rows, alike, load_rows

if TYPE_CHECKING:
    from zoomagent.training.base import Base

Stage = Literal["gap", "box"]
STAGES: dict[Stage, RewardConfig] = {"gap": GAP, "box": BOX}


@dataclass(frozen=True)
class Recipe:
    """Numbers of the optimisation. The defaults are LFPC's where it names them (`prompts`, `group`, `rate`, no KL, no
    entropy term); the rest is ours. `prompts` x `group` rollouts make a step; `micro` of them go through the model at
    once. `reply` and `words` are tokens: of one turn's reply at most, and of a tool result's words."""

    prompts: int = 256
    group: int = 16
    micro: int = 8
    rate: float = 1e-6
    temperature: float = 1.0
    clip: float = 0.2
    max_grad_norm: float = 1.0
    turns: int = 5
    reply: int = 512
    words: int = 64


LFPC = Recipe()
NANO = Recipe(prompts=8, group=8, micro=16, rate=2e-5, turns=4, reply=96)
"""For the packaged model: a step on two cores takes seconds, not hours (ours, measured in docs/reinforcement.md)."""


@dataclass(frozen=True)
class Settings:
    """One run. `lora` is the rank of adapters, 0 trains all weights. `tools` are offered, () for those of the rows or
    of the model."""

    out: Path
    data: Path
    model: str = "nano"
    stage: Stage = "gap"
    steps: int = 80
    recipe: Recipe = LFPC
    guard: GuardConfig = GuardConfig()
    tools: tuple[str, ...] = ()
    search: Literal["refused", "annotated"] = "refused"
    seed: int = 1
    lora: int = 0
    vllm: bool = False
    save_every: int = 10
    proof_every: int = 1
    limit: int | None = None
    rewards: RewardConfig | None = field(default=None)


def train(settings: Settings, say: Callable[[str], None] = print) -> Path:
    """Run to the end, from wherever `out` left off; returns the folder of the exported checkpoint.

    Raises RunError `tool_collapse` where the guard stopped the run, SettingInvalid for data or settings that cannot
    be."""
    from transformers.utils import logging as progress

    from zoomagent.training.base import Base
    from zoomagent.training.sft.exporting import export

    rows = rows_of(settings, say)
    _check_same(settings)
    progress.disable_progress_bar()
    trainer, guard = build(settings, rows, say)
    guard.resume()
    found = newest(settings.out / "state")
    trainer.train(resume_from_checkpoint=str(found) if found else None)
    if guard.watch.stopped:
        raise RunError(guard.watch.stopped, code="tool_collapse")
    all_made(trainer.state.global_step, settings.steps)
    trainer.save_model(str(settings.out / "trained"))
    return export(Base.open(settings.model), settings.out / "trained", settings.out / "checkpoint")


def build(settings: Settings, rows: Rows, say: Callable[[str], None], **changes: Any) -> tuple[Any, Guard]:
    """The trainer, ready to run, and its guard. `changes` replace what TRL is configured with."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback

    from zoomagent.training.base import Base
    from zoomagent.training.rl.dialogue import prepare
    from zoomagent.training.rl.trainer import ZoomTrainer
    from zoomagent.training.rl.trl_env import reward_functions, weights

    base = Base.open(settings.model)
    model = base.weights(torch.bfloat16 if torch.cuda.is_available() and settings.lora else torch.float32)
    env = environment(settings, rows, base)
    guard = Guard(settings.guard, settings.out, say)
    guard.trainer = ZoomTrainer(
        env=env,
        proof_every=settings.proof_every,
        model=model,
        processing_class=prepare(base.processor),
        train_dataset=Dataset.from_dict({"row": [json.dumps(row) for row in rows.rows]}),
        reward_funcs=reward_functions(env.rewards, {base.processor.tokenizer.eos_token_id}),
        args=arguments(settings, env, model.config, weights(env.rewards), **changes),
        callbacks=[guard],
        peft_config=lora(settings.lora),
    )
    guard.trainer.remove_callback(PrinterCallback)
    return guard.trainer, guard


def rows_of(settings: Settings, say: Callable[[str], None] = print) -> Rows:
    """The stage's rows: `box` needs nested boxes, and all must offer the same tools unless these are given."""
    found = load_rows(settings.data, limit=settings.limit)
    rows = [row for row in found.rows if row["nested"]] if settings.stage == "box" else found.rows
    kept = rows if settings.tools or not rows else alike(rows)[0]
    if len(kept) < len(found.rows):
        bare = f"{len(found.rows) - len(rows)} have no nested boxes, " if settings.stage == "box" else ""
        say(f"{len(kept)} of {len(found.rows)} rows can be used: {bare}{len(rows) - len(kept)} offer other tools.")
    if 0 < len(kept) < settings.recipe.prompts:
        raise SettingInvalid(
            f"{len(kept)} rows are fewer than {settings.recipe.prompts} questions a step. Give more rows, "
            "or fewer questions with --prompts."
        )
    if not kept:
        raise SettingInvalid(f"None of the {len(found.rows)} rows can be used for --stage {settings.stage}.")
    return replace(found, rows=kept)


def environment(settings: Settings, rows: Rows, base: "Base") -> EnvConfig:
    """How episodes are run. A checkpoint that names its tools was trained with exactly these in its prompt, so it is
    offered them; others are offered what needs no model."""
    profile = base.profile
    otherwise = profile.tools if base.names_tools else tuple(tool for tool in profile.tools if tool in WITHOUT_MODEL)
    tools = settings.tools or alike(rows.rows)[1] or otherwise
    return EnvConfig(
        profile, rows.images, tools, rewards=settings.rewards or STAGES[settings.stage], search=settings.search
    )


def longest(recipe: Recipe, profile: Profile) -> int:
    """Tokens that a rollout may take after its prompt: per turn a reply, the words of a result, and a crop."""
    side = 4096
    crop = profile.visual_tokens(profile.fit(Size(side, side), profile.crop_pixels or None))
    return recipe.turns * (recipe.reply + recipe.words + crop) + recipe.reply


def arguments(settings: Settings, env: EnvConfig, config: Any, weights: list[float], **changes: Any) -> Any:
    """TRL's own configuration; `changes` replace what is chosen here."""
    import torch
    from trl import GRPOConfig

    recipe, gpu = settings.recipe, torch.cuda.is_available()
    micro = min(recipe.micro, recipe.prompts * recipe.group)
    if recipe.prompts * recipe.group % micro:
        raise SettingInvalid(f"{recipe.prompts} x {recipe.group} rollouts do not divide into batches of {micro}.")
    chosen: dict[str, Any] = {
        "output_dir": str(settings.out / "state"),
        "max_steps": settings.steps,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": recipe.prompts * recipe.group // micro,
        "num_generations": recipe.group,
        "learning_rate": recipe.rate,
        "lr_scheduler_type": "constant",
        "max_grad_norm": recipe.max_grad_norm,
        "beta": 0.0,
        "entropy_coef": 0.0,
        "epsilon": recipe.clip,
        "loss_type": "grpo",
        "scale_rewards": "group",
        "reward_weights": weights,
        "temperature": recipe.temperature,
        "max_completion_length": longest(recipe, env.profile),
        "max_tool_calling_iterations": recipe.turns - 1,
        "generation_kwargs": {
            "max_new_tokens": recipe.reply,
            "suppress_tokens": [config.image_token_id, config.video_token_id],
        },
        "use_vllm": settings.vllm,
        "vllm_mode": "colocate",
        "use_cpu": not gpu,
        "bf16": gpu,
        "activation_checkpointing": gpu,
        "logging_steps": 1,
        "save_steps": settings.save_every,
        "save_total_limit": 3,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "report_to": ["tensorboard"] if find_spec("tensorboard") else "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    return GRPOConfig(**{**chosen, **changes})


FREE = {"out", "steps", "save_every", "guard"}
"""Settings that may change when a run goes on."""


def _check_same(settings: Settings) -> None:
    """Raise SettingInvalid when the run in `out` was started with other settings or data."""
    from zoomagent.training.sft.reading import digest

    given = {**asdict(settings), "digest": digest(settings.data)}
    check_settings(settings.out / SETTINGS, given, FREE)
