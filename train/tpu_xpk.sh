#!/usr/bin/env bash
# Reward-model SFT on a TPU pod slice of GKE, by XPK. A preempted workload is started again and goes on.
# Does it fit?  jaxerm plan erm_8b_sft --topology v6e:4x4
#
#   CLUSTER=my-cluster PROJECT=my-project ZONE=us-east5-b RUNS=/mnt/runs train/tpu_xpk.sh
# RUNS is a folder that all pods see: xpk storage attach --help.
set -euo pipefail
: "${CLUSTER:?}" "${PROJECT:?}" "${ZONE:?}" "${RUNS:?folder that all pods see}"

cd "$(dirname "$0")/.."
xpk workload create --cluster "$CLUSTER" --project "$PROJECT" --zone "$ZONE" \
  --workload "${NAME:-jaxerm-erm}" --tpu-type "${TYPE:-v6e-16}" --num-slices 1 --max-restarts 20 \
  --termination-grace-period-seconds 120 \
  --base-docker-image python:3.12 --script-dir . \
  --command "set -e
    apt-get -qq update && apt-get -qq install -y libcairo2
    pip install -q -c constraints.txt -e '.[tpu]'
    hf download Qwen/Qwen3-VL-8B-Instruct >/dev/null
    exec jaxerm sft erm_8b_sft out=$RUNS/erm_8b --distributed"
