#!/usr/bin/env bash
# Reward-model SFT on all GPUs of one machine: one process, no launcher. Run it again and it goes on.
# Does it fit?  jaxerm plan erm_8b_sft --topology cpu:8   (GiB a device, to be held against the card's)
#
#   train/gpu_node.sh [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/jaxerm ] || { python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[gpu]'; }
.venv/bin/hf download Qwen/Qwen3-VL-8B-Instruct >/dev/null
# What is left of the memory is for cuDNN, NCCL and their work space.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}
exec .venv/bin/jaxerm sft erm_8b_sft "$@"
