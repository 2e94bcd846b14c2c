"""Share of a GRPO step in which the model computes nothing, with and without overlap.

    python benchmarks/idle.py [--steps 6] [--json]

Two measurements. ``tiny``: `jaxerm grpo tiny_svg_grpo` with one prompt a lot, its `idle` of every step but the first.
``8B``: the trainer's scheduler (`jaxerm.train.overlap.staged`) over a device and renderers that only sleep, for a
hundredth of the times below. The device works off what it is given in order, as an accelerator does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from jaxerm.device_clock import covered
from jaxerm.runs import read_metrics
from jaxerm.train.overlap import staged

STEP = {"prompts": 256, "rollouts": 8, "lots": 8, "workers": 32}
"""The paper's batch in lots of 32 prompts; one lot at a time is rendered, by all workers."""
SECONDS = {"generate": 280.0, "score": 140.0, "update": 150.0, "render": 0.5, "host": 0.4}
"""Of a whole step on the device, about the paper's 0.17 h together; of one chart; of the host's work for one lot."""
SCALE = 0.01


def simulated(ahead: bool) -> float:
    """Idle share of one step of sleeping."""
    lots, spans = STEP["lots"], []
    renders = STEP["prompts"] * STEP["rollouts"] // lots

    def on_device(seconds: float) -> None:
        began = time.monotonic()
        time.sleep(seconds * SCALE)
        spans.append(("device", began, time.monotonic()))

    def host() -> None:
        time.sleep(SECONDS["host"] * SCALE)

    with ThreadPoolExecutor(1) as device, ThreadPoolExecutor(1) as workers:

        def generate(_: int) -> Future:
            host()
            return device.submit(on_device, SECONDS["generate"] / lots)

        def render(_: int, generated: Future) -> Future:
            generated.result()
            host()
            return workers.submit(time.sleep, renders * SECONDS["render"] / STEP["workers"] * SCALE)

        def score(_: int, rendering: Future) -> None:
            rendering.result()
            host()
            device.submit(on_device, SECONDS["score"] / lots).result()

        began = time.monotonic()
        staged(lots, generate, render, score, ahead=ahead)
        device.submit(on_device, SECONDS["update"]).result()
        return 1 - covered(spans) / (time.monotonic() - began)


def tiny(ahead: bool, steps: int) -> float:
    """Mean idle share of a run of the tiny policy."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = [f"out={out}", f"steps={steps}", "checkpoint_every=100", "rollout_prompts=1"]
        settings.append(f"overlap={str(ahead).lower()}")
        command = [sys.executable, "-m", "jaxerm.cli", "grpo", "tiny_svg_grpo", *settings]
        subprocess.run(command, check=True, capture_output=True)
        return float(np.mean([row["idle"] for row in read_metrics(out)[1:]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = {
        "8B, simulated": {"before": simulated(False), "after": simulated(True)},
        "tiny": {"before": tiny(False, args.steps), "after": tiny(True, args.steps)},
    }
    if args.json:
        print(json.dumps({"idle": rows, "step": STEP, "seconds": SECONDS}, indent=2))
        return
    for name, row in rows.items():
        print(f"{name}: idle {row['before']:.3f} one lot after the other, {row['after']:.3f} overlapped")


if __name__ == "__main__":
    main()
