"""Keep the help texts in README.md true.

    python tests/readme_help.py            names the blocks that differ from what the program prints
    python tests/readme_help.py --write    puts what it prints in their place

A block is a fenced one whose first line is a command: `$ zoomagent --help`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(```[a-z]*\n\$ zoomagent ([a-z ]*--help)\n)(.*?)(```)", re.DOTALL)


def renewed(text: str) -> str:
    """`text` with every help block as the program prints it now."""
    return BLOCK.sub(lambda match: f"{match[1]}{printed(match[2])}{match[4]}", text)


def commands(text: str) -> list[str]:
    """The commands whose help `text` shows."""
    return [match[2] for match in BLOCK.finditer(text)]


def printed(arguments: str) -> str:
    """What `zoomagent ARGUMENTS` prints on 80 columns, without colours."""
    code = "import sys; sys.argv[0] = 'zoomagent'; from zoomagent.cli import main; main()"
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True, check=True, env=environment
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()) + "\n"


def main() -> None:
    text = README.read_text(encoding="utf-8")
    fresh = renewed(text)
    if "--write" in sys.argv:
        README.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        sys.exit("README.md shows old help texts. Run: python tests/readme_help.py --write")


if __name__ == "__main__":
    main()
