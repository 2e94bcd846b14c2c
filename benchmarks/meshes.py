"""The same run on different layouts of devices: one loss curve, and checkpoints that go from each to each.

    python benchmarks/meshes.py [--steps 20] [--more 2] [--out DIR] [--json]

Every layout trains a model of the tests, every part of Qwen3-VL and two layers, by the recipe
``configs/tiny_svg_sft.yaml`` on simulated CPU devices, in processes of its own and by the command a user would give.
The curves are compared with that of one device; then each layout goes on from a copy of each other's last checkpoint,
and is compared again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from jaxerm.runs import read_metrics
from tests.micro import make_micro

LAYOUTS = {
    "1 device": (1, 1, {"fsdp": 1}),
    "fsdp 8": (1, 8, {"fsdp": 8}),
    "2 x 2 x 2": (1, 8, {"data": 2, "fsdp": 2, "tensor": 2}),
    "2 processes": (2, 4, {"data": 2, "fsdp": 2, "tensor": 2}),
}
"""Name -> processes, devices of each, mesh."""
FIGURES = ("loss", "grad_norm")


def command(args: argparse.Namespace, out: Path, mesh: dict[str, int], steps: int) -> list[str]:
    settings = {
        "model": args.model,
        "out": out,
        "mesh": json.dumps(mesh),
        "steps": steps,
        "checkpoint_every": steps,
        "batch_size": 8,
        "max_length": 512,
        # Chunks without an answer are left out, and whether there is one is for all devices to decide together.
        "logits_chunk": 64,
        "data.streams": 8,
        "data.prefetch": 8,
        "data.workers": 1,
        # A rate that does not depend on the length of the run, so that a longer run is the same run.
        "optimizer.schedule": "constant",
    }
    return [sys.executable, "-m", "jaxerm.cli", "sft", args.recipe, *(f"{k}={v}" for k, v in settings.items())]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


def train(args: argparse.Namespace, layout: str, out: Path, steps: int) -> list[dict]:
    """Runs a layout to `steps` and returns its metrics."""
    processes, devices, mesh = LAYOUTS[layout]
    env = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    if processes > 1:
        env |= {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": str(processes)}
    running = []
    for number in range(processes):
        log = (out.parent / f"{out.name}.{number}.log").open("w")
        own = env | ({"JAX_PROCESS_ID": str(number)} if processes > 1 else {})
        running.append(subprocess.Popen(command(args, out, mesh, steps), env=own, stdout=log, stderr=log))
    if any([process.wait() for process in running]):
        raise SystemExit(f"{layout}: see {out.parent / out.name}.*.log")
    return read_metrics(out)


def apart(one: list[dict], two: list[dict]) -> dict[str, float]:
    """Largest relative difference of each figure over the steps both have."""
    theirs = {row["step"]: row for row in two}
    pairs = [(row, theirs[row["step"]]) for row in one if row["step"] in theirs]
    return {name: max(abs(a[name] - b[name]) / max(abs(b[name]), 1e-9) for a, b in pairs) for name in FIGURES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--recipe", default="tiny_svg_sft")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--more", type=int, default=2, help="steps a checkpoint of another layout is gone on from")
    parser.add_argument("--out", type=Path, help="folder of the runs; a temporary one if none")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = args.out or Path(tempfile.mkdtemp(prefix="meshes-"))
    folder.mkdir(parents=True, exist_ok=True)
    args.model = make_micro(folder / "model")
    names = {layout: layout.replace(" ", "") for layout in LAYOUTS}
    curves, rows = {}, []
    for layout, name in names.items():
        curves[layout] = train(args, layout, folder / name, args.steps)
        shutil.copytree(folder / name, folder / f"{name}-saved")
        rows.append({"trained_on": layout, "restored_on": None, **apart(curves[layout], curves["1 device"])})
        print(rows[-1], file=sys.stderr, flush=True)
    steps = args.steps + args.more
    whole = train(args, "1 device", folder / names["1 device"], steps)
    for source in LAYOUTS:
        for target in LAYOUTS:
            if source == target:
                continue
            out = folder / f"{names[source]}-to-{names[target]}"
            shutil.copytree(folder / f"{names[source]}-saved", out)
            found = [row for row in train(args, target, out, steps) if row["step"] > args.steps]
            rows.append({"trained_on": source, "restored_on": target, **apart(found, whole)})
            print(rows[-1], file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps({"steps": args.steps, "more": args.more, "rows": rows}, indent=2))
        return
    print("| trained on | restored on | loss, largest relative difference | gradient norm |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['trained_on']} | {row['restored_on'] or '-'} | {row['loss']:.1e} | {row['grad_norm']:.1e} |")


if __name__ == "__main__":
    main()
