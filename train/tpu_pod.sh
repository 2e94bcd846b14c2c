#!/usr/bin/env bash
# Reward-model SFT on a TPU pod slice of Compute Engine: creates it, installs, trains. Run it again after a preemption.
# Does it fit?  jaxerm plan erm_8b_sft --topology v6e:4x4
#
#   REPO=https://... BUCKET=my-runs ZONE=us-east5-b train/tpu_pod.sh
set -euo pipefail
: "${REPO:?address of this repository}" "${BUCKET:?Cloud Storage bucket for the runs}" "${ZONE:?zone with v6e}"
NAME=${NAME:-jaxerm} TYPE=${TYPE:-v6e-16} IMAGE=${IMAGE:-v2-alpha-tpuv6e}

on_all() { gcloud compute tpus tpu-vm ssh "$NAME" --zone "$ZONE" --worker all --command "$1"; }

gcloud compute tpus tpu-vm describe "$NAME" --zone "$ZONE" >/dev/null 2>&1 ||
  gcloud compute tpus tpu-vm create "$NAME" --zone "$ZONE" --accelerator-type "$TYPE" --version "$IMAGE" --spot

# The image's Python is older than 3.11; uv brings one. Cairo draws SVGs; gcsfuse (where apt does not know it, see its
# installation page) makes the bucket a folder that all machines see.
on_all "set -e
  sudo apt-get install -qq -y libcairo2 gcsfuse
  [ -d jaxerm ] || git clone -q '$REPO' jaxerm
  python3 -m pip install -q --user uv
  cd jaxerm
  ~/.local/bin/uv venv -q --allow-existing --python 3.12 .venv
  ~/.local/bin/uv pip install -q --python .venv/bin/python -c constraints.txt -e '.[tpu]'
  .venv/bin/hf download Qwen/Qwen3-VL-8B-Instruct >/dev/null
  mkdir -p ~/runs && (mountpoint -q ~/runs || gcsfuse --implicit-dirs '$BUCKET' ~/runs)"

on_all "cd jaxerm && exec .venv/bin/jaxerm sft erm_8b_sft out=\$HOME/runs/erm_8b --distributed"
