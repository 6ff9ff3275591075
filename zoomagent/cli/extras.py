"""Which extra brings a module, and whether all of an extra is there; asked at the start, before anything is spent.

    need("ocr")     # ModuleNotFoundError, told as `pip install "zoomagent[ocr]"`, exit 78

Imports nothing that it looks for. Left out: packages that are there and broken; they show when they are used.
"""

from importlib.util import find_spec

EXTRAS = dict.fromkeys(("accelerate", "ijson", "matplotlib", "pyarrow", "scipy", "sklearn", "tqdm"), "train")
EXTRAS |= {"ray": "ray", "mcp": "mcp", "mcp_types": "mcp", "fastapi": "serve", "uvicorn": "serve"}
EXTRAS |= {"rapidocr": "ocr", "onnxruntime": "ocr", "av": "video"}


def need(extra: str) -> None:
    """Raise ModuleNotFoundError for the first module of an extra that is not installed."""
    for module in (name for name, brought_by in EXTRAS.items() if brought_by == extra):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def advice(error: Exception) -> str | None:
    """What to install, where the error is that a module of an extra is missing."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in EXTRAS:
        return None
    return f'{error.name} is missing, which this needs. Run: pip install "zoomagent[{EXTRAS[error.name]}]"'
