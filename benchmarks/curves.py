"""Two hundred steps of SFT and of GRPO with the tiny model, measured on held-out material, and their curves.

    python benchmarks/curves.py DIR [--steps 200] [--only sft] [--plot docs/curves.png]

The reward model learns from `tiny_erm_sft`; a policy from `tiny_policy_sft`, and then by GRPO against the reward model
that ships (`tiny_svg_grpo`). Drawings of a seed that no recipe has are held out. Runs that are in DIR are gone on with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from jaxerm.runs import read_metrics

CRITICISED = "{source: drawings, role: critique, options: {max_shapes: 4, min_shapes: 3, seed: 9001}}"
DRAWN = "{source: drawings, options: {max_shapes: 5, min_shapes: 5, seed: SEED}}"
"""Five shapes: more than any supervised recipe shows the policy, so that there is something left to learn."""


def commands(folder: Path, steps: int, every: int) -> dict[str, list[str]]:
    learned, held_out = DRAWN.replace("SEED", "31"), DRAWN.replace("SEED", "9001")
    return {
        "sft": ["sft", "tiny_erm_sft", f"out={folder / 'sft'}", f"steps={steps}", "seed=0"]
        + [f"evaluation={{every: {every}, batches: 2, pairs: 48, mixture: [{CRITICISED}]}}"],
        "policy": ["sft", "tiny_policy_sft", f"out={folder / 'policy'}", "seed=0"],
        "grpo": ["grpo", "tiny_svg_grpo", f"out={folder / 'grpo'}", f"steps={steps}", "seed=0"]
        + [f"policy={folder / 'policy' / 'model'}", "optimizer.lr=1e-4", "max_new_tokens=256", "checkpoint_every=50"]
        + [f"data.mixture=[{learned}]", f"evaluation={{every: {every}, prompts: 16, mixture: [{held_out}]}}"],
    }


def plot(folder: Path, path: Path) -> None:
    panels = [
        ("sft", "SFT of the reward model: nats a token", {"loss": "training", "eval_loss": "held out"}),
        ("sft", "its critiques of held-out pairs", {"eval_f1": "F1", "eval_severity_correlation": "severity, r"}),
        ("grpo", "GRPO of the policy: reward, 0 to 2", {"reward": "training", "eval_reward": "held out"}),
        ("grpo", "held out, by pixels", {"eval_ink_overlap": "ink overlap", "eval_rendered": "renders"}),
    ]
    panels = [panel for panel in panels if (folder / panel[0]).is_dir()]
    figure, axes = plt.subplots(len(panels) // 2, 2, figsize=(9, 1.5 * len(panels)), layout="constrained")
    for axis, (run, title, names) in zip(axes.flat, panels, strict=True):
        rows = read_metrics(folder / run)
        for name, label in names.items():
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            sparse = len(points) < len(rows) / 2
            axis.plot(*zip(*points, strict=True), label=label, marker="o" if sparse else None, lw=2 if sparse else 0.8)
        axis.set(title=title, xlabel="step")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--only", choices=["sft", "grpo"])
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    wanted = {"sft": ["sft"], "grpo": ["policy", "grpo"], None: ["sft", "policy", "grpo"]}[args.only]
    for name, command in commands(args.folder, args.steps, args.every).items():
        if name in wanted:
            subprocess.run([sys.executable, "-m", "jaxerm.cli", *command], check=True)
    for run in ("sft", "grpo"):
        for row in read_metrics(args.folder / run):
            if any(name.startswith("eval_") for name in row):
                measured = {k.removeprefix("eval_"): round(v, 3) for k, v in row.items() if k.startswith("eval_")}
                print(run, row["step"], measured)
    if args.plot:
        plot(args.folder, args.plot)


if __name__ == "__main__":
    main()
