"""What a model is called where clients see it: without the address or the folder it is at.

    name_of("http://10.0.0.5:8000/v1#Qwen/Qwen3-VL-8B-Instruct")      # "Qwen/Qwen3-VL-8B-Instruct"
    shown("/srv/models/qwen")                                         # "qwen"

Pure. Left out: whether there is such a model (`loading.py`).
"""

import re

SERVED = "served"
"""What a server's model is called before it has said its name."""
_HUB_NAME = re.compile(r"(hf:)?\w[\w.:-]*(/\w[\w.:-]*)?")


def name_of(spec: str) -> str:
    """The name in what `load_model` takes. What is neither an address nor on the hub is a folder, there or not."""
    if spec.startswith(("http://", "https://")):
        return own_name(spec.partition("#")[2]) or SERVED
    return spec if spec.startswith("hf:") else _last(spec)


def own_name(name: str) -> str:
    """A model's own name. Servers often call a model by its folder: of that, the last part."""
    return name if _HUB_NAME.fullmatch(name) else _last(name)


def _last(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
