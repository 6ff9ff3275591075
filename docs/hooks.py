"""A hook of mkdocs: links from a page to a file of the repository outside docs/ become the file's name.

The site holds only docs/; on a code host the links work. A link to a file that does not exist stops the build.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    def named(found: re.Match[str]) -> str:
        words, path = found.groups()
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{page.file.src_path} links to {path}, which does not exist.")
        return f"{words} (`{path}`)"

    return LINK.sub(named, markdown)
