"""Talk to zoomagent by the Model Context Protocol, as Claude or an editor does: `python examples/mcp_client.py`.

Starts `zoomagent serve mcp` and asks it over stdin and stdout.
"""

import asyncio
import base64
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

import zoomagent

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"
COMMAND = ["-m", "zoomagent.cli", "serve", "mcp", "--root", str(EXAMPLE)]
ASKED = {"image": "scene.jpg", "question": "What is written on the yellow circle?", "strategy": "search"}


async def told(progress: float, total: float | None, message: str | None) -> None:
    print(f"{progress:3.0f} {message}")


async def main() -> None:
    async with Client(StdioServerParameters(command=sys.executable, args=COMMAND)) as client:
        print("tools", [tool.name for tool in (await client.list_tools()).tools])
        result = await client.call_tool("answer_about_image", ASKED, progress_callback=told)
        assert result.structured_content is not None
        print("answer", result.structured_content["answer"], result.structured_content["boxes"])
        for part in result.content:
            if part.type == "image":
                print("crop", len(base64.b64decode(part.data)), "bytes of", part.mime_type)


if __name__ == "__main__":
    asyncio.run(main())
