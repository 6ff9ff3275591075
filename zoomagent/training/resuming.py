"""Going on where a run left off: the newest whole checkpoint, and the settings it was begun with.

`settings.json` in the run's folder says what the run is; a run goes on with its own settings only
(`files.check_settings`). Left out: writing checkpoints
(`nano/store.py`, and the trainers of other libraries).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoomagent.errors import SettingInvalid
from zoomagent.files import write_whole

SETTINGS = "settings.json"


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a transformers Trainer that was written to its end, or None.

    `trainer_state.json` is the last file it writes; a checkpoint without it was cut off by a kill."""
    whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


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


def _is_whole(checkpoint: Path) -> bool:
    try:
        return "global_step" in json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
