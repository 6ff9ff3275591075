"""LION's stages, on TRL's trainer and our rows: image, region, both with the router, and tags.

    zoomagent train lion --stage image --model nano --data OUT --out runs/lion-image
    zoomagent train lion --stage region --model runs/lion-image/checkpoint --data OUT --out runs/lion-region

A stage goes on from the checkpoint of the one before, and changes only what it names (`LEARNS`). `checkpoint/` holds a
whole base, one LoRA a task in `loras/`, the mixture itself for the next stage, and `zoomagent.json` with routes and
hint.
Left out: a training loop of our own, and LION's Q-Former, which Qwen-VL models have no place for.
"""

import json
import random
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from trl import SFTConfig, SFTTrainer

from zoomagent.data.grounding.annotation import clean
from zoomagent.errors import SettingInvalid
from zoomagent.files import check_settings, read_json, whole_folder
from zoomagent.models.local.aggregating import aggregator_weights, attach_aggregator
from zoomagent.models.local.parallel import TASKS, Parallel, Route, attach_parallel, parallel_weights
from zoomagent.models.local.routing import AGGREGATOR, LORAS, PARALLEL
from zoomagent.models.profiles import own_overrides
from zoomagent.training.base import Base
from zoomagent.training.lion.collating import ASKED, LionCollator
from zoomagent.training.lion.level import HINT, add_hint, with_level
from zoomagent.training.lion.lookup import WEIGHT, Lookup, spoken_of
from zoomagent.training.lion.mixture import (
    MIXTURE_SHAPE,
    NAME,
    Shape,
    attach_poly,
    fold,
    heed_task_ids,
    learn_side,
    mixture_weights,
    poly_layers,
    shape_of,
    still,
)
from zoomagent.training.lion.rows import lessons
from zoomagent.training.resuming import SETTINGS, JsonLines, all_made, newest, remember
from zoomagent.training.sft.chat_rows import read
from zoomagent.training.sft.exporting import copy_side_files
from zoomagent.training.sft.reading import digest, pictures, split

Stage = Literal["image", "region", "both", "tags"]
LEARNS = {
    "image": "the image adapters",
    "region": "the region adapters, and the aggregator where it is given",
    "both": "all adapters and the router, and the aggregator where it is given",
    "tags": "the hint's row, and queries, keys and values of the text model",
}
ATTENTION = ("q_proj", "k_proj", "v_proj")
SLOWER = 0.1
"""The aggregator's rate beside the adapters': at their own rate it walks away from what the text model knows."""
MIXTURE = "mixture.safetensors"
FREE = {"out", "steps", "save_every"}


@dataclass(frozen=True)
class Settings:
    """One stage. `adapters` poly: low rank, served; parallel: LION's own, in this process only; `size` is their rank or
    bottleneck. `aggregator` level: served; attention: LION's own. `rate` None: 2e-3, for tags 2e-4. `objects` is Visual
    Genome's file of things, from which tags are made; a share `wrong` of them is replaced."""

    stage: Stage
    model: str
    data: Path
    out: Path
    steps: int
    adapters: Literal["poly", "parallel"] = "poly"
    size: int = 8
    aggregator: Literal["none", "level", "attention"] = "none"
    rows: int = 8
    rate: float | None = None
    objects: Path | None = None
    wrong: float = 0.3
    vary: bool = False
    by_task: bool = False
    checkpointing: bool = False
    save_every: int = 100
    seed: int = 1

    @property
    def peak(self) -> float:
        return self.rate if self.rate is not None else 2e-4 if self.stage == "tags" else 2e-3


def train(settings: Settings) -> Path:
    """Run or resume a stage; returns the folder of the finished checkpoint."""
    if settings.stage == "tags" and settings.objects is None:
        raise SettingInvalid("The stage of tags needs things to name. Give --objects, Visual Genome's objects.json.")
    if settings.aggregator != "none" and settings.stage not in ("region", "both"):
        raise SettingInvalid(
            f"No aggregator learns in the stage {settings.stage!r}. Give --aggregator to region or both, and leave it "
            "out here: one that is there stays."
        )
    noted = {**asdict(settings), "data_digest": digest(settings.data)}
    with PartialState().main_process_first():
        if newest(settings.out / "state"):
            check_settings(settings.out / SETTINGS, noted, FREE)
        if PartialState().is_main_process:
            remember(settings.out, noted)
    torch.manual_seed(settings.seed)
    base = Base.open(settings.model)
    lion = Lion(base, settings)
    collator = LionCollator(
        base.processor,
        lion.profile,
        pictures(settings.data),
        settings.vary,
        settings.stage == "tags",
        settings.wrong,
        settings.seed,
    )
    trainer = LionTrainer(
        model=lion.model,
        args=_arguments(settings),
        train_dataset=rows_of(settings, collator),
        data_collator=collator,
        processing_class=base.processor,
        callbacks=[JsonLines(settings.out / "log.jsonl")],
        optimizers=(lion.optimizer(), None),
    )
    found = newest(settings.out / "state")
    trainer.train(resume_from_checkpoint=str(found) if found else None)
    all_made(trainer.state.global_step, settings.steps)
    if trainer.is_world_process_zero():
        lion.export(settings.out / "checkpoint")
    trainer.accelerator.wait_for_everyone()
    return settings.out / "checkpoint"


class LionTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer; where a row's question names one of its tags, that tag is to be looked up (`lookup.py`)."""

    def __init__(self, **given: Any) -> None:
        self._lookup = Lookup(given["model"]) if given["data_collator"].tags else None
        super().__init__(**given)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *given: Any, **more: Any) -> Any:
        if self._lookup is None:
            return super().compute_loss(model, inputs, *given, **more)
        spoken = spoken_of(inputs["labels"], inputs["attention_mask"], inputs.pop(ASKED))
        loss = super().compute_loss(model, inputs, *given, **more)
        return loss + WEIGHT * self._lookup.loss(spoken) if len(spoken.row) else loss


class Lion:
    """The model of a stage: a base with adapters, of which some learn."""

    def __init__(self, base: Base, settings: Settings) -> None:
        self._base, self._settings = base, settings
        folder = Path(base.source)
        before = shape_of(folder)
        if before and not before.says_level and settings.aggregator == "level":
            raise SettingInvalid(
                f"{LORAS}/{MIXTURE_SHAPE} of {base.name!r} does not say which level is the aggregator: it is an older "
                'one. Write "level": null into it where it has none, else the last level\'s number, counted from 0.'
            )
        self.form: Literal["poly", "parallel"] = before.adapters if before else settings.adapters
        self.size: int = before.size if before else settings.size
        model = base.weights(torch.float32)
        # The number of the level that is the aggregator: of a stage before, else a new one.
        self._level: int | None = before.level if before else None
        self._widened = settings.aggregator == "level" and self._level is None
        if self._widened:
            self._level = len(model.config.vision_config.deepstack_visual_indexes or [])
            model = with_level(model)
        own_aggregator = (folder / LORAS / AGGREGATOR).is_file()
        self._attention = own_aggregator or settings.aggregator == "attention"
        self.profile = base.profile
        if settings.stage == "tags":
            number = add_hint(model, base.processor.tokenizer)
            self.profile = replace(base.profile, hint=HINT, hint_id=number)
        if self._attention:
            attach_aggregator(model)
        model.requires_grad_(False)
        self.route: Route = attach_poly(model, self.size) if self.form == "poly" else attach_parallel(model, self.size)
        heed_task_ids(model, self.route)
        self.model = model
        self._load(folder, before is not None, own_aggregator)
        self._choose()

    def _load(self, folder: Path, adapters: bool, aggregator: bool) -> None:
        """The numbers of the stage before, all of them: others would be random ones."""
        named = mixture_weights if self.form == "poly" else parallel_weights
        parts = {MIXTURE if self.form == "poly" else PARALLEL: named} if adapters else {}
        parts |= {AGGREGATOR: aggregator_weights} if aggregator else {}
        for name, own in parts.items():
            needed = {key: tuple(value.shape) for key, value in own(self.model).items()}
            try:
                stored = load_file(folder / LORAS / name)
            except (SafetensorError, OSError) as error:
                text = f"{LORAS}/{name} of {self._base.name!r} is damaged or missing. Train the stage before again."
                raise SettingInvalid(text) from error
            if {key: tuple(value.shape) for key, value in stored.items()} != needed:
                raise SettingInvalid(
                    f"The adapters of {self._base.name!r} do not fit their base. Train the stage before again."
                )
            self.model.load_state_dict(stored, strict=False)

    def _choose(self) -> None:
        """Let what the stage names learn, and nothing else."""
        stage, model = self._settings.stage, self.model
        if stage == "tags":
            learn_tags(model, self.profile.hint_id)
            for layer in poly_layers(model).values():
                still(layer.poly_router[NAME])
            return
        side = None if stage == "both" else stage
        if self.form == "poly":
            learn_side(model, side)
        else:
            _learn_parallel(model, side)
        for name, weight in model.named_parameters():
            if self._in_aggregator(name):
                weight.requires_grad_(True)

    def _in_aggregator(self, name: str) -> bool:
        """Whether a weight is of the aggregator that this stage is given."""
        match self._settings.aggregator:
            case "level":
                return f"deepstack_merger_list.{self._level}." in name
            case "attention":
                return ".aggregator." in name
            case "none":
                return False

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW with a slower group for the aggregator."""
        learning = [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
        slow = [weight for name, weight in learning if self._in_aggregator(name)]
        fast = [weight for name, weight in learning if not self._in_aggregator(name)]
        groups = [{"params": fast, "lr": self._settings.peak}]
        groups += [{"params": slow, "lr": SLOWER * self._settings.peak}] if slow else []
        return torch.optim.AdamW(groups, weight_decay=0.0)

    def export(self, out: Path) -> None:
        """Write the base with what changed in it, the adapters, and zoomagent.json."""
        base, trained = self._base, self.model.state_dict()
        plain = base.weights(torch.float32)
        plain = with_level(plain) if self._widened else plain
        if self._settings.stage == "tags":
            add_hint(plain, base.processor.tokenizer)
            rows = len(trained["model.language_model.embed_tokens.weight"])
            if len(plain.get_input_embeddings().weight) != rows:
                plain.resize_token_embeddings(rows)
        state = {name.replace(".base_layer.", "."): value for name, value in trained.items()}
        own = plain.state_dict()
        plain.load_state_dict({name: state[name] for name in own})
        plain = plain.to(base.config.dtype or torch.float32)
        with whole_folder(out) as draft:
            plain.save_pretrained(draft)
            copy_side_files(base, draft)
            if self._settings.stage == "tags":
                base.processor.tokenizer.save_pretrained(draft)
            (draft / LORAS).mkdir()
            if self.form == "poly":
                save_file(mixture_weights(self.model), draft / LORAS / MIXTURE)
                fold(self.model, draft / LORAS, base.name)
            else:
                save_file(parallel_weights(self.model), draft / LORAS / PARALLEL)
            if self._attention:
                save_file(aggregator_weights(self.model), draft / LORAS / AGGREGATOR)
            shape = Shape(adapters=self.form, size=self.size, stage=self._settings.stage, level=self._level)
            (draft / LORAS / MIXTURE_SHAPE).write_text(shape.model_dump_json() + "\n", encoding="utf-8")
            profile = {**own_overrides(Path(base.source)), "routes": {task: task for task in TASKS}}
            profile |= {"hint": self.profile.hint, "hint_id": self.profile.hint_id} if self.profile.hint else {}
            (draft / "zoomagent.json").write_text(json.dumps(profile, indent=2) + "\n", encoding="utf-8")


def learn_tags(model: Any, hint: int | None) -> list[nn.Parameter]:
    """Let queries, keys and values of the text model learn, and the hint's row of the embedding table where there is
    one; nothing else."""
    model.requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.requires_grad_("language_model" in name and name.split(".")[-2] in ATTENTION)
    if hint is not None:
        rows = model.get_input_embeddings().weight
        mask = torch.zeros(len(rows), 1)
        mask[hint] = 1.0
        rows.requires_grad_(True)
        rows.register_hook(lambda gradient: gradient * mask.to(gradient))
    return [weight for weight in model.parameters() if weight.requires_grad]


def rows_of(settings: Settings, collator: LionCollator) -> Any:
    """The lessons of the stage's tasks as rows: a trajectory's row, the number of its lesson, and what tags are made
    of. Raises SettingInvalid where there are none."""
    found = split(settings.data, "train")
    things = _things(settings.objects) if settings.objects else {}
    names = sorted({name for listed in things.values() for name, _ in listed})
    kept: list[dict[str, Any]] = []
    for row in found or ():
        if not (collator.images / row["image"]).is_file():
            continue
        trajectory = read(row)
        of_phrase = "annotation" in trajectory.provenance
        if of_phrase and "asks" not in trajectory.provenance:
            raise SettingInvalid(
                f"{settings.data} holds rows of a grounding set without their phrases. Write them again."
            )
        for number, lesson in enumerate(lessons(trajectory, collator.profile)):
            if settings.stage in ("image", "region") and lesson.task != settings.stage:
                continue
            if settings.stage == "tags" and lesson.task != "image":
                continue
            # Pictures of grounding sets are numbered by themselves.
            listed = [] if of_phrase else things.get(row["image_id"], [])
            there = _in_picture(listed, trajectory.width, trajectory.height)
            more = {"things": json.dumps(there), "others": names} if things else {}
            kept.append({**row, "lesson": number, "task": lesson.task, **more})
    if not kept:
        raise SettingInvalid(
            f"{settings.data} has no lessons of this stage. Write: zoomagent data trajectories VG_DIR OUT."
        )
    if settings.by_task:
        # Every batch is of one task, the batches in any order.
        order = random.Random(settings.seed)
        order.shuffle(kept)
        kept.sort(key=lambda row: str(row["task"]))
        tasks = [list(group) for _, group in groupby(kept, key=lambda row: row["task"])]
        least = min(tasks, key=len)
        if len(least) < settings.rows:
            raise SettingInvalid(
                f"The {least[0]['task']} task has {len(least)} lessons, too few for a batch. Give a smaller --rows, or "
                "train without --by-task."
            )
        batches = [
            rows[i : i + settings.rows]
            for rows in tasks
            for i in range(0, len(rows) - settings.rows + 1, settings.rows)
        ]
        order.shuffle(batches)
        kept = [row for batch in batches for row in batch]
    import datasets

    return datasets.Dataset.from_list([{k: v for k, v in row.items() if k != "task"} for row in kept])


Things = list[tuple[str, list[int]]]


def _things(file: Path) -> dict[int, Things]:
    """What Visual Genome's objects.json says is in every picture. Raises SettingInvalid for another file."""
    made: dict[int, Things] = {}
    try:
        for picture in read_json(file.read_bytes() if file.is_file() else b""):
            listed = made.setdefault(int(picture["image_id"]), [])
            for thing in picture["objects"]:
                x, y, w, h = (int(thing[key]) for key in ("x", "y", "w", "h"))
                listed += [(clean(name), [x, y, x + w, y + h]) for name in thing["names"][:1] if clean(name)]
    except (OSError, ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        raise SettingInvalid(f"{file.name} is not Visual Genome's list of objects, or is damaged.") from error
    return made


def _in_picture(things: Things, width: int, height: int) -> Things:
    """What of the things lies in their picture: boxes of Visual Genome may begin or end outside of it."""
    cut = [
        (name, [max(0, left), max(0, top), min(width, right), min(height, bottom)])
        for name, (left, top, right, bottom) in things
    ]
    return [(name, box) for name, box in cut if box[0] < box[2] and box[1] < box[3]]


def _learn_parallel(model: nn.Module, side: str | None) -> None:
    """One side of LION's own adapters, or both with the router."""
    for module in model.modules():
        if not isinstance(module, Parallel):
            continue
        for name, weight in module.named_parameters():
            weight.requires_grad_(side is None or name != "router")
            if side is not None and name != "router":
                mask = torch.zeros(len(TASKS), *[1] * (weight.dim() - 1))
                mask[TASKS.index(side)] = 1.0
                hook: Any = weight.register_hook
                hook(lambda gradient, mask=mask: gradient * mask.to(gradient))


def _arguments(settings: Settings) -> Any:
    return SFTConfig(
        output_dir=str(settings.out / "state"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.rows,
        learning_rate=settings.peak,
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(0.03 * settings.steps)),
        bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        activation_checkpointing=settings.checkpointing,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        save_steps=settings.save_every,
        save_total_limit=2,
        logging_steps=max(1, min(10, settings.steps // 20)),
        logging_first_step=True,
        disable_tqdm=True,
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        train_sampling_strategy="sequential" if settings.by_task else "random",
    )
