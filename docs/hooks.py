"""Hooks of mkdocs: links out of docs/ become the file's name, and diagrams are drawn by our own copy of mermaid.

The site holds only docs/; on a code host the links work. A link to a file that does not exist stops the build. Without
`vendor/mermaid.min.js` the theme would fetch one from another host.
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


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """A page with a diagram loads mermaid before the theme asks for it."""
    if 'class="mermaid"' not in html:
        return html
    return html + '<script src="vendor/mermaid.min.js"></script>'
