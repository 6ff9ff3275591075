"""Going on where a run left off: the newest whole checkpoint, and the settings it was begun with.

`settings.json` in the run's folder says what the run is; a run goes on with its own settings only
(`files.check_settings`). `JsonLines` keeps a trainer's log without steps that were made twice. Left out: writing
checkpoints (`nano/store.py`, and the trainers of other libraries).
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from zoomagent.errors import SettingInvalid
from zoomagent.files import read_json, write_whole

SETTINGS = "settings.json"


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a transformers Trainer that was written to its end, or None.

    `trainer_state.json` is the last file it writes; a checkpoint without it was cut off by a kill."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        with contextlib.suppress(OSError, ValueError):
            state = read_json((path / "trainer_state.json").read_bytes())
            if isinstance(state, dict) and "global_step" in state:
                whole[int(path.name.rpartition("-")[2])] = path
    return whole[max(whole)] if whole else None


def remember(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run, over those of a run that left no checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SETTINGS, (json.dumps(settings, default=str, indent=2) + "\n").encode())


def all_made(made: int, asked: int) -> None:
    """Raise SettingInvalid unless every step was made: what stopped before is no checkpoint to be used."""
    if made < asked:
        raise SettingInvalid(
            f"{made} of {asked} steps were made, so no checkpoint is written: there are too few rows for a "
            "step. Give more rows, or fewer of them a step."
        )


class JsonLines(TrainerCallback):  # type: ignore[misc]
    """Appends every log of a transformers Trainer to `file`, on the main process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forget what was logged after the checkpoint that the run goes on from, and a line that a kill cut off."""
        if state.is_world_process_zero and self.file.exists():
            kept = []
            for line in self.file.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, LookupError, TypeError):
                    if read_json(line)["step"] <= state.global_step:
                        kept.append(line)
            self.file.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if state.is_world_process_zero and logs:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"step": state.global_step, **logs}) + "\n")
