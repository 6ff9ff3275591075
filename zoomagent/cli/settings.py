"""A person's own settings: a TOML file that stands for options nobody wants to type, and ZOOMAGENT_MODEL.

    # ~/.config/zoomagent/config.toml
    model = "http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct"
    profile = "~/qwen.json"
    target_error = 0.05

An option that is typed goes first, then the environment, then the file, then the default. The file is
`$ZOOMAGENT_CONFIG`, else `$XDG_CONFIG_HOME/zoomagent/config.toml`, else `~/.config/zoomagent/config.toml`. Left out:
keys, which stay in the environment (docs/providers.md), and the Python interface, which takes arguments only.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoomagent.errors import SettingInvalid

KINDS: dict[str, type] = {
    "model": str,
    "strategy": str,
    "rule": str,
    "target_error": float,
    "gate": float,
    "arbiter": str,
    "profile": str,
    "tags": str,
    "max_calls": int,
    "max_depth": int,
    "deadline": float,
    "max_tokens": int,
    "extra_body": dict,
}
"""What the file may hold: the options of the same names, with lines for hyphens."""
PATHS = ("arbiter", "profile")
COMMANDS = ("ask", "demo", "doctor", "batch", "serve mcp", "serve page", "serve openai")
"""The commands that heed the settings. What measures or trains names everything itself, so that it can be repeated."""
MOST_BYTES = 1 << 20
"""Bytes of the file (ours)."""
SECRETS = ("ZOOMAGENT_MODEL_KEY", "OPENAI_API_KEY", "ZOOMAGENT_API_KEY")


@dataclass(frozen=True)
class Setting:
    """One setting and where it comes from: the environment's variable, or the file."""

    value: Any
    source: str


def config_file() -> Path:
    """Where the settings file is, or would be."""
    if named := os.environ.get("ZOOMAGENT_CONFIG"):
        return Path(os.path.expanduser(named))  # Path's own raises for a user that is not there
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.path.expanduser(base)) / "zoomagent" / "config.toml"


def settings() -> dict[str, Setting]:
    """What the environment and the file set. SettingInvalid for a file that cannot be read or says what is unknown."""
    path = config_file()
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)  # a device may have no end
        if len(text) > MOST_BYTES:
            raise SettingInvalid(f"{path.name!r} is no settings file: it has more than {MOST_BYTES} bytes.")
        content = tomllib.loads(text.decode())
    except FileNotFoundError:
        if os.environ.get("ZOOMAGENT_CONFIG"):
            raise SettingInvalid("ZOOMAGENT_CONFIG names a file that is not there. Make it, or unset it.") from None
        content = {}
    except OSError as error:
        raise SettingInvalid(f"The settings file cannot be read ({error.strerror}). See zoomagent config.") from None
    except (ValueError, RecursionError) as error:
        raise SettingInvalid(f"The settings file is no TOML ({error}). Mend {path.name}.") from None
    found = {name: Setting(_check_value(name, value), "file") for name, value in content.items()}
    if model := os.environ.get("ZOOMAGENT_MODEL"):
        found["model"] = Setting(model, "ZOOMAGENT_MODEL")
    return found


def defaults_of_commands(found: Mapping[str, Setting]) -> dict[str, Any]:
    """The settings as the command line takes them: by command, and below a group by its commands."""
    given = {
        name: (json.dumps(setting.value) if isinstance(setting.value, dict) else setting.value)
        for name, setting in found.items()
    }
    tree: dict[str, Any] = {}
    for command in COMMANDS:
        group, _, name = command.rpartition(" ")
        place = tree.setdefault(group, {}) if group else tree
        place[name] = {**given, "model": [given["model"]]} if name == "batch" and "model" in given else given
    return tree


def _check_value(name: str, value: Any) -> Any:
    """The value where the name is known and the kind fits. Paths begin at home where they say so."""
    if name not in KINDS:
        raise SettingInvalid(f"The settings file sets {name!r}, which is unknown. Known: {', '.join(KINDS)}.")
    kind = KINDS[name]
    try:
        if kind is float and type(value) is int:
            value = float(value)
        if name in PATHS and type(value) is str:
            value = str(Path(value).expanduser())
        said = str(value)
        if type(value) is kind and (kind is not dict or json.dumps(value)):
            return value
    # Numbers that are too large to be written, users without a home, dates in extra_body.
    except (ValueError, OverflowError, RuntimeError, TypeError) as error:
        raise SettingInvalid(f"{name!r} in the settings file cannot be used ({error}).") from None
    raise SettingInvalid(f"{name!r} in the settings file must be {kind.__name__}, not {said[:80]!r}.")
