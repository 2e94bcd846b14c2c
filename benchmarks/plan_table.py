"""Plans recipes for machines and writes the table of docs/plan.md; docs/plan.json keeps what is planned already.

python -m benchmarks.plan_table            # plan what is missing
python -m benchmarks.plan_table --anew     # plan everything: minutes a row
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from jaxerm.models.chips import GIB

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- written by benchmarks/plan_table.py -->", "<!-- end -->"

COLAB = "mesh.fsdp=1 mesh.tensor=1 dtype.param=bfloat16"
JUDGE = f"{COLAB} reward.rows=1 reward.max_prompt_length=4096 reward.max_patches=8192 reward.max_new_tokens=1024"
ROWS = [
    "erm_8b_sft --topology v6e:4x4",
    "erm_8b_sft mesh.tensor=4 accumulate=8 remat=dots --topology v6e:4x4",
    "chart_8b_grpo --topology v6e:4x4",
    "erm_8b_sft --topology v5p:2x2x4",
    "chart_8b_grpo --topology v5p:2x2x4",
    "erm_8b_sft mesh.fsdp=32 mesh.tensor=2 --topology v5e:8x8",
    "chart_8b_grpo micro_batch=32 rollout_prompts=32 --topology v5e:8x8",
    f"chart_8b_grpo reward.model=2B {JUDGE} --only scoring --topology v5e:1x1",
    f"chart_8b_grpo reward.model=4B {JUDGE} --only scoring --topology v5e:1x1",
    f"erm_8b_sft model=2B lora.rank=16 {COLAB} batch_size=1 max_length=4096 max_patches=8192 --topology v5e:1x1",
    f"erm_8b_sft model=2B lora.rank=16 {COLAB} batch_size=1 max_length=16384 max_patches=16384 --topology v5e:1x1",
]
"""Arguments of `jaxerm plan`."""


def planned(arguments: str) -> dict[str, Any]:
    """What the command says, as a user would ask it."""
    command = [sys.executable, "-m", "jaxerm.cli", "plan", *arguments.split(), "--json"]
    print("jaxerm plan", arguments, file=sys.stderr, flush=True)
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of markdown, one a program."""
    names = ["`jaxerm plan ...`", "program", "GiB a chip", "of which beside", "program / model FLOPs"]
    names += ["seconds at least", "MFU at most"]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for arguments, result in results.items():
        for number, entry in enumerate(result["programs"]):
            asked = f"`{arguments}`" if number == 0 else ""
            limit = result["hbm_limit_bytes"] / GIB
            fits = "" if entry["fits"] else " **does not fit**"
            cells = [asked, entry["name"], f"{entry['hbm_bytes'] / GIB:.1f} of {limit:.2f}{fits}"]
            cells += [f"{entry['beside_bytes'] / GIB:.1f}", f"{entry['recomputation']:.2f}"]
            if "bound_seconds" in entry:
                slowest = max(entry["bound_seconds"], key=entry["bound_seconds"].get)
                cells += [f"{entry['step_seconds_at_least']:.3g} ({slowest})", f"{entry['mfu_at_most']:.0%}"]
            else:
                cells += ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
        if not result["fits"]:
            near = result.get("nearest")
            lines.append(f"| | | nearest that fits: {json.dumps(near) if near else 'none found'} | | | | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="plan all rows again")
    parser.add_argument("--rows", type=int, nargs="*", help="numbers of the rows to plan, from 0; all if none")
    options = parser.parse_args()
    stored = DOCS / "plan.json"
    results = json.loads(stored.read_text()) if stored.exists() and not options.anew else {}
    wanted = ROWS if options.rows is None else [ROWS[number] for number in options.rows]
    for arguments in wanted:
        if arguments not in results:
            results[arguments] = planned(arguments)
            stored.write_text(json.dumps(results, indent=1) + "\n")
    results = {arguments: results[arguments] for arguments in ROWS if arguments in results}
    stored.write_text(json.dumps(results, indent=1) + "\n")
    page = DOCS / "plan.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text("\n".join([before + BEGIN, *table(results), END + rest.partition(END)[2]]))


if __name__ == "__main__":
    main()
