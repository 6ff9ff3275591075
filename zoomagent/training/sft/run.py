"""Supervised training on trajectories, with TRL's SFTTrainer: nano, or any Qwen-VL checkpoint, in full or by LoRA.

    zoomagent train sft --model nano --data OUT --steps 200 --out runs/sft
    accelerate launch --config_file examples/accelerate/8-gpus-fsdp.yaml -m zoomagent.cli train sft --model ...

The assistant's turns are learned, and of those only the ones marked `learn`. A run goes on by itself from the newest
checkpoint in `out`, in the same data order. `out` holds settings.json, log.jsonl, dropped.json, state/ and, at the
end, checkpoint/. Left out: a training loop of our own.
"""

import json
import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
import transformers
from accelerate import PartialState
from trl import SFTConfig, SFTTrainer

from zoomagent.errors import SettingInvalid
from zoomagent.files import check_settings
from zoomagent.training.adapters import LORA_TARGETS, lora
from zoomagent.training.base import Base
from zoomagent.training.resuming import SETTINGS, JsonLines, all_made, newest, remember
from zoomagent.training.sft.chat_rows import read
from zoomagent.training.sft.collating import Collator
from zoomagent.training.sft.exporting import export
from zoomagent.training.sft.reading import digest, pictures, split

Stage = Literal["align", "ground", "instruct"]
"""GroundingGPT's three (arXiv 2401.06071, section 3): the connector on words about pictures; connector and language
model on single questions about places; the same on dialogues too."""
RATES: dict[Stage, float] = {"align": 1e-3, "ground": 2e-5, "instruct": 2e-5}
"""Peak rates of its published scripts."""
CONNECTOR = ("visual.merger.", "visual.deepstack_merger_list.")
"""What stands between the vision tower and the language model, by the names of transformers' Qwen-VL classes."""
Precision = Literal["bf16", "fp32"]
"""Every linear layer of the text model; the vision tower stays as it is."""
FREE = {"out", "steps", "workers", "save_every", "held_out"}
"""Settings that may change when a run goes on."""
LARGE = 1_000_000_000
"""Parameters from which gradient checkpointing pays unless the caller says otherwise (ours)."""


@dataclass(frozen=True)
class Settings:
    """One run. `rows` are conversations a step and process, `accumulate` of those make one optimizer step. `rate` is
    AdamW's peak; None: 1e-5 in full, 1e-4 for LoRA. `lora` is the rank, 0 for full training, with alpha twice that.
    `stage` is a preset of GroundingGPT's: which weights are trained, on which rows, at which rate; `earlier` are the
    data of the stages before, from which `earlier_share` of the rows come, against forgetting.
    `precision` None: bf16 where the device can, else fp32. `max_length` counts tokens, visual ones too; longer rows are
    dropped and counted. `held_out` rows are scored at every checkpoint."""

    model: str
    data: Path
    out: Path
    steps: int
    rows: int = 4
    accumulate: int = 1
    rate: float | None = None
    stage: Stage | None = None
    earlier: tuple[Path, ...] = ()
    earlier_share: float = 0.2
    lora: int = 0
    lora_targets: tuple[str, ...] = LORA_TARGETS
    precision: Precision | None = None
    checkpointing: bool | None = None
    max_length: int = 8192
    save_every: int = 100
    held_out: int = 64
    workers: int = 2
    seed: int = 1

    @property
    def peak(self) -> float:
        if self.rate is not None:
            return self.rate
        return RATES[self.stage] if self.stage else 1e-4 if self.lora else 1e-5

    @property
    def mixed(self) -> bool:
        """Whether the arithmetic is bf16; weights of full training stay float32 beneath it."""
        return (
            torch.cuda.is_available() and torch.cuda.is_bf16_supported()
            if self.precision is None
            else (self.precision == "bf16")
        )


def train(settings: Settings) -> Path:
    """Run or resume; returns the folder of the finished checkpoint."""
    if not sys.stderr.isatty():  # no progress bars in a log file
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()
    begin(settings)
    trainer = make_trainer(settings)
    found = newest(settings.out / "state")
    trainer.train(resume_from_checkpoint=str(found) if found else None)
    all_made(trainer.state.global_step, settings.steps)
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trained, out = settings.out / "trained", settings.out / "checkpoint"
    trainer.save_model(str(trained))
    if trainer.is_world_process_zero():
        export(Base.open(settings.model), trained, out)
    trainer.accelerator.wait_for_everyone()
    return out


def begin(settings: Settings) -> None:
    """Check that the run in `out`, if there is one, is this one, and note its settings."""
    if settings.stage == "align" and settings.lora:
        raise SettingInvalid("--stage align trains the connector alone, which has no LoRA. Leave --lora out.")
    if settings.earlier and not settings.stage:
        raise SettingInvalid("--earlier belongs to a stage. Name it: --stage ground or --stage instruct.")
    told = {**asdict(settings), "earlier": [str(folder) for folder in settings.earlier]}
    told |= {"data_digest": digest(settings.data), "earlier_digests": [digest(folder) for folder in settings.earlier]}
    with PartialState().main_process_first():
        if newest(settings.out / "state"):
            check_settings(settings.out / SETTINGS, told, FREE)
        if PartialState().is_main_process:
            remember(settings.out, told)


def make_trainer(settings: Settings) -> Any:
    """The SFTTrainer of a run: model, data and collator are all it is given."""
    base = Base.open(settings.model)
    collator = Collator(base.processor, base.profile, pictures(settings.data), settings.max_length)
    rows = usable(settings, collator, "train")
    held_out = usable(settings, collator, "held-out") if settings.held_out else None
    # An adapter's base is kept in the precision of the arithmetic; full training needs all of float32.
    dtype = torch.bfloat16 if settings.lora and settings.mixed else torch.float32
    arguments = _arguments(settings, base, held_out is not None)
    model = base.weights(dtype)
    if settings.stage and not settings.lora:
        train_only(model, settings.stage)
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        eval_dataset=held_out,
        data_collator=collator,
        processing_class=base.processor,
        peft_config=lora(settings.lora, settings.lora_targets),
        callbacks=[JsonLines(settings.out / "log.jsonl")],
    )


def train_only(model: Any, stage: Stage) -> None:
    """Freeze what a stage leaves as it is: the vision tower always, the language model where the connector is aligned.
    Raises SettingInvalid for a model without a connector of a known name."""
    names = [name for name, _ in model.named_parameters() if any(part in f".{name}" for part in CONNECTOR)]
    if not names:
        raise SettingInvalid("No connector is found in this model, so it has no stages. Leave --stage out.")
    for name, weights in model.named_parameters():
        is_language = "visual." not in f".{name}"
        weights.requires_grad_(name in names or (is_language and stage != "align"))


def belongs(row: dict[str, Any], stage: Stage | None) -> bool:
    """Whether a stage learns from a row: `align` from single answers that are words, `ground` from all single answers,
    `instruct` from dialogues and tool calls too."""
    trajectory = read(row)
    answers = [turn for turn in trajectory.messages if turn.role == "assistant"]
    if stage in (None, "instruct"):
        return True
    single = len(answers) == 1 and not answers[0].tool_calls
    return single and (stage == "ground" or trajectory.provenance.get("asks") in (None, "what"))


def with_earlier(settings: Settings, rows: Any) -> Any:
    """The rows with some of earlier stages' among them, whose pictures are named in full."""
    share = settings.earlier_share
    wanted = round(len(rows) * share / (1 - share)) if settings.earlier else 0
    listed = [rows]
    for folder in settings.earlier:
        found = split(folder, "train")
        if found is None:
            raise SettingInvalid(f"{folder}/train holds no *.parquet. Name what an earlier stage was trained on.")
        images = Path(os.path.realpath(pictures(folder)))
        some = found.shuffle(seed=settings.seed).select(range(min(len(found), wanted // len(settings.earlier))))
        listed.append(some.map(lambda row, images=images: {"image": str(images / row["image"])}).cast(rows.features))
    return datasets.concatenate_datasets(listed)


def usable(settings: Settings, collator: Collator, name: str) -> Any | None:
    """The rows of a split that the model can be told, the rest counted by reason in dropped.json.

    Raises SettingInvalid when none of the training rows can."""
    rows = split(settings.data, name)
    if rows is None and name == "train":
        raise SettingInvalid(
            f"{settings.data}/train holds no *.parquet. Write: zoomagent data trajectories VG_DIR OUT."
        )
    if rows is None:
        return None
    if name != "train":
        rows = rows.select(range(min(settings.held_out, len(rows))))
    dropped = Counter[str]()
    if settings.stage:
        every, rows = len(rows), rows.filter(lambda row: belongs(row, settings.stage))
        dropped["belongs to another stage"] = every - len(rows)
        rows = with_earlier(settings, rows) if name == "train" else rows
    refusals = [collator.refusal(row) for row in rows]
    dropped += Counter(reason for reason in refusals if reason)
    if PartialState().is_main_process:
        file = settings.out / "dropped.json"
        told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        told[name] = {"rows": len(refusals), "dropped": dict(dropped)}
        file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(told[name])}")
    kept = [number for number, refusal in enumerate(refusals) if refusal is None]
    if not kept and name == "train":
        raise SettingInvalid(f"No row of {settings.data} can be learned from: {dict(dropped)}.")
    return rows.select(kept) if kept else None


def _arguments(settings: Settings, base: Base, evaluate: bool) -> Any:
    checkpointing = base.parameters() >= LARGE if settings.checkpointing is None else settings.checkpointing
    return SFTConfig(
        output_dir=str(settings.out / "state"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.rows,
        per_device_eval_batch_size=settings.rows,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.peak,
        lr_scheduler_type="cosine" if settings.stage else "linear",
        warmup_steps=max(1, round(0.03 * settings.steps)),
        bf16=settings.mixed,
        activation_checkpointing=checkpointing,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_num_workers=settings.workers,
        dataloader_persistent_workers=settings.workers > 0,
        save_steps=settings.save_every,
        save_total_limit=2,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=settings.save_every,
        logging_steps=max(1, min(10, settings.steps // 20)),
        logging_first_step=True,
        disable_tqdm=not sys.stderr.isatty(),
        report_to=["tensorboard"] if find_spec("tensorboard") else "none",
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
    )
