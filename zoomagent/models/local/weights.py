"""What lies in a checkpoint's folder, looked at before anything of it is loaded or allocated.

    check_folder(folder)               # raises PolicyFileRefused for pickles, ModelNotFound for what is no checkpoint

Which files transformers would read is decided by what the folder's index says, and what they are by their first bytes:
a name proves nothing. What the configuration declares must be in proportion to what is stored. Left out: whether every
tensor fits (`checkpoint.py` asks transformers), and the numbers of zoomagent.json (`profiles.py`).
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from safetensors import SafetensorError, safe_open

from zoomagent.errors import ModelNotFound, PolicyFileRefused

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED_NAMES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PICKLED_BYTES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""How pickles begin, bare or in the zip files of torch. A safetensors file begins with the length of its header."""

MAX_JSON = 64 * 1024 * 1024
"""The largest JSON file of a checkpoint that is read (ours): an index names every tensor."""

MAX_INTEGER = 1 << 21
"""The largest whole number of a configuration (ours): vocabularies and contexts have up to a million."""

COUNTS = ("layers", "depth", "experts", "labels", "blocks")
"""How the names of numbers end that say how many parts a model is built of."""

UNBOUNDED = ("rope_theta", "theta", "base")
"""Numbers of a configuration that stand for no size."""


def check_folder(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every stored tensor of a folder that holds a checkpoint as `save_pretrained` writes it."""
    if (folder / "adapter_config.json").is_file():
        raise ModelNotFound("The folder holds an adapter, not a whole model. Merge it into its model, and name that.")
    tensors: dict[str, tuple[int, ...]] = {}
    for file in list(_weight_files(folder)):
        tensors |= shapes_in(file)
    check_numbers(read_object(folder / "config.json"), "config.json", max(1000, len(tensors)))
    return tensors


def shapes_in(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file of safetensors, none of which is read."""
    try:
        with safe_open(file, framework="numpy") as stored:
            return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelNotFound(f"{file.name!r} of the checkpoint is damaged. Is the download complete?") from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint. NaN and numbers beyond floats are no JSON."""
    try:
        content = orjson.loads(file.read_bytes()) if file.stat().st_size <= MAX_JSON else None
    except FileNotFoundError:
        raise ModelNotFound(f"The folder holds no {file.name}. Name a folder saved by save_pretrained.") from None
    except (OSError, orjson.JSONDecodeError) as error:
        raise ModelNotFound(f"The checkpoint's {file.name} cannot be read ({type(error).__name__}).") from error
    if not isinstance(content, dict):
        raise ModelNotFound(f"The checkpoint's {file.name} holds no JSON object.")
    return content


def _weight_files(folder: Path) -> Iterator[Path]:
    """The files that transformers would read: the single one, else those that the index names."""
    if (folder / SINGLE).is_file():
        yield _no_pickle(folder / SINGLE)
        return
    if not (folder / INDEX).is_file():
        if any(path.suffix in PICKLED_NAMES for path in folder.iterdir()):
            raise PolicyFileRefused("The weights are pickled, and a pickle can run code. Convert them to safetensors.")
        raise ModelNotFound(f"The folder holds no {SINGLE}. Name a folder saved by save_pretrained.")
    named = read_object(folder / INDEX).get("weight_map")
    names = set(map(str, named.values())) if isinstance(named, dict) else set()
    if not names:
        raise ModelNotFound(f"The checkpoint's {INDEX} names no files. Save the model again.")
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise PolicyFileRefused(f"The checkpoint's {INDEX} names files that are no safetensors. Convert them.")
        if not (folder / name).is_file():
            raise ModelNotFound(f"The checkpoint lacks {name!r}, which its index names. Is the download complete?")
        yield _no_pickle(folder / name)


def _no_pickle(file: Path) -> Path:
    with file.open("rb") as opened:
        start = opened.read(9)
    # In every safetensors file a JSON object follows the first eight bytes.
    if start.startswith(PICKLED_BYTES) and start[8:] != b"{":
        raise PolicyFileRefused(
            f"{file.name!r} is a pickle by its content, and a pickle can run code. Convert it to safetensors."
        )
    return file


def check_numbers(values: dict[str, Any], name: str, parts: int) -> None:
    """Every number of a configuration is finite and of a size that models have; no more than `parts` of anything are
    declared. Loops and allocations follow these numbers."""
    waiting: list[tuple[str, Any]] = list(values.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, int | float) and not isinstance(value, bool) and key not in UNBOUNDED:
            most = parts if key.endswith(COUNTS) else MAX_INTEGER
            if not math.isfinite(value) or abs(value) > most:
                raise ModelNotFound(f"{key!r} of the checkpoint's {name} is {value:g}, more than its files can hold.")
        elif key == "transformers_weights":
            raise PolicyFileRefused(f"The checkpoint's {name} names other weights. Name a folder of save_pretrained.")


def weights_hash(folder: Path) -> str:
    """One hash over a model's weight files, for an arbiter to name what it was fitted for."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
