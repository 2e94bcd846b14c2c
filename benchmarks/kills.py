"""A run that is killed again and again, against the same run left alone: the same metrics, value for value.

    python benchmarks/kills.py sft|grpo [--kills 20] [--seed 0] [--out DIR]

The run is the command a user would give, killed by SIGKILL: at random moments, and at each third kill as soon as a
checkpoint is being written. Then the command is given again. Time and memory apart, every line of ``metrics.jsonl`` and
every byte of the final model must be those of the run that was left alone: no example was lost, none seen twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from jaxerm.runs import read_metrics
from tests.micro import make_micro

_MEASURED = ("seconds", "_s", "_per_s", "idle", "_gib", "mfu", "skipped")
"""Metrics that tell of the machine and not of the run; what was skipped is counted from a process's start."""
SETTINGS = {
    "sft": ("tiny_svg_sft", {"steps": 60, "checkpoint_every": 2, "batch_size": 4, "max_length": 512}),
    "grpo": (
        "tiny_svg_grpo",
        {
            "steps": 40,
            "checkpoint_every": 2,
            "prompts_per_step": 2,
            "mini_batch": 2,
            "rollouts": 4,
            "rollout_prompts": 1,
            "max_new_tokens": 32,
            # What is untrained writes nothing that renders, and no critique: letters give its rewards a spread.
            "rewards": "[{name: 'tests.train.small:variety'}]",
        },
    ),
}


@dataclass
class Survival:
    """What became of a run.

    Attributes:
      kills: seconds after its start at which each process was killed.
      while_saving: kills that came while a checkpoint was being written.
      left: unfinished checkpoints that were found in the folder after a kill.
    """

    kills: list[float]
    while_saving: int
    left: int


def told(out: Path) -> list[dict]:
    """The metrics of a run, without those that are measured by the clock."""
    return [{k: v for k, v in row.items() if not k.endswith(_MEASURED)} for row in read_metrics(out)]


def unfinished(out: Path) -> list[Path]:
    return list((out / "checkpoints").glob("*tmp*"))


def survive(
    command: list[str], out: Path, kills: int, seed: int, log: Path, env: dict | None = None, lives: float = 3.0
) -> Survival:
    """Gives a command until it succeeds, killing it `kills` times.

    A process is left alone until it has written a line of metrics, so that every kill leaves the run further than the
    one before; then it gets up to `lives` steps' time to live.
    """
    rng = random.Random(seed)
    found = Survival([], 0, 0)
    while True:
        began = time.monotonic()
        lines = len(read_metrics(out))
        with log.open("a") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=env)
        if len(found.kills) >= kills:
            if process.wait():
                raise SystemExit(f"the run failed: see {log}")
            return found
        saving = len(found.kills) % 3 == 2
        while process.poll() is None and len(read_metrics(out)) <= lines:
            # Lines that are written anew after a checkpoint count from the checkpoint.
            lines = min(lines, len(read_metrics(out)))
            time.sleep(0.02)
        # The first step of a process holds its compilation.
        step = min([row["seconds"] for row in read_metrics(out)[-3:]] or [1.0])
        until = time.monotonic() + rng.uniform(0, lives * min(step, 10.0))
        while process.poll() is None and (not unfinished(out) if saving else time.monotonic() < until):
            time.sleep(0.002)
        if process.poll() is not None:
            if process.returncode:
                raise SystemExit(f"the run failed: see {log}")
            return found
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        found.kills.append(round(time.monotonic() - began, 2))
        left = len(unfinished(out))
        found.while_saving += bool(left)
        found.left += left


def compare(one: Path, two: Path) -> list[str]:
    """What two finished runs differ in; nothing if they are the same run."""
    out = []
    a, b = told(one), told(two)
    if [row["step"] for row in a] != [row["step"] for row in b]:
        out.append(f"steps {[row['step'] for row in b]}")
    for mine, theirs in zip(a, b, strict=False):
        out += [f"step {mine['step']}: {k} {mine[k]} and {theirs.get(k)}" for k in mine if mine[k] != theirs.get(k)]
    if (one / "model/model.safetensors").read_bytes() != (two / "model/model.safetensors").read_bytes():
        out.append("the weights differ")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("kind", choices=list(SETTINGS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of the runs; a temporary one if none")
    args = parser.parse_args()
    folder = args.out or Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    recipe, settings = SETTINGS[args.kind]
    model = {"sft": "model", "grpo": "policy"}[args.kind]
    settings = {**settings, model: make_micro(folder / "model")}

    def command(out: Path) -> list[str]:
        overrides = [f"{key}={value}" for key, value in {**settings, "out": out}.items()]
        return [sys.executable, "-m", "jaxerm.cli", args.kind, recipe, *overrides]

    whole, killed = folder / f"{args.kind}-whole", folder / f"{args.kind}-killed"
    survive(command(whole), whole, 0, args.seed, folder / f"{args.kind}-whole.log")
    found = survive(command(killed), killed, args.kills, args.seed, folder / f"{args.kind}-killed.log")
    result = {
        "kind": args.kind,
        "kills": len(found.kills),
        "while_saving": found.while_saving,
        "lines": len(told(whole)),
        "differences": compare(whole, killed),
        "seconds_lived": found.kills,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
