"""What a trainer logs, as JSON lines: one object a line, with its step; resuming leaves no step twice."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class JsonLines(TrainerCallback):  # type: ignore[misc]
    """Appends every log of a transformers Trainer to `file`, on the main process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forget what was logged after the checkpoint that the run goes on from."""
        if state.is_world_process_zero and self.file.exists():
            kept = [
                line for line in self.file.read_text().splitlines() if json.loads(line)["step"] <= state.global_step
            ]
            self.file.write_text("".join(line + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if state.is_world_process_zero and logs:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"step": state.global_step, **logs}) + "\n")
