"""How to start a model that takes pictures on this machine: command lines, sized to its GPU or its memory.

    for line in lines_to_start(gpu=24.0, memory=64.0):
        print(line)

Qwen3-VL, because its boxes and tool calls are known best (`profiles.py`). The sizes are those of its weights and room
for some thousand tokens (ours). Left out: installing the programs that serve it.
"""

import os
import subprocess

GIB = 1 << 30
FOR_GPU = ((76.0, "32B"), (22.0, "8B"), (14.0, "4B"), (7.0, "2B"))
"""From so many GiB of one GPU on: the size in its own number format (2 bytes a weight) for vLLM."""
FOR_MEMORY = ((30.0, "30b-a3b", "30B-A3B"), (14.0, "8b", "8B"), (7.0, "4b", "4B"), (0.0, "2b", "2B"))
"""From so many GiB of memory on: the size in 4 bits a weight, as Ollama and llama.cpp call it."""


def gpu_memory() -> float:
    """GiB of the largest GPU, by nvidia-smi; 0 where there is none."""
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0.0
    return max((int(line) / 1024 for line in said.split() if line.isdecimal()), default=0.0)


def memory() -> float:
    """GiB of this machine's memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (ValueError, OSError, AttributeError):  # Windows has no sysconf
        return 0.0


def lines_to_start(gpu: float, memory: float) -> list[str]:
    """vLLM's command line where a GPU holds the weights, then Ollama's and llama.cpp's for what memory there is."""
    lines = []
    size = next((name for least, name in FOR_GPU if gpu >= least), None)
    if size:
        lines.append(
            f"vllm serve Qwen/Qwen3-VL-{size}-Instruct --max-model-len 32768 --limit-mm-per-prompt '{{\"image\": 8}}' "
            "--max-logprobs 20 --enable-auto-tool-choice --tool-call-parser hermes"
        )
    small, large = next((small, large) for least, small, large in FOR_MEMORY if max(gpu, memory) >= least)
    lines.append(f"ollama pull qwen3-vl:{small}-instruct")
    lines.append(f"llama-server -hf Qwen/Qwen3-VL-{large}-Instruct-GGUF --port 8080")
    return lines
