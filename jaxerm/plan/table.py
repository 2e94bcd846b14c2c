"""A plan as lines of text."""

from __future__ import annotations

from typing import Any

from jaxerm.models.chips import GIB


def as_overrides(changes: dict[str, Any]) -> str:
    """Changes to a recipe as they are typed behind a command: ``remat=full mesh.tensor=2``."""
    flat = {}
    for key, value in changes.items():
        flat |= {f"{key}.{axis}": size for axis, size in value.items()} if isinstance(value, dict) else {key: value}
    return " ".join(f"{key}={value}" for key, value in flat.items())


def plan_lines(result: dict[str, Any]) -> str:
    """A table of a plan: memory a chip, operations, what bounds the step, and whether it fits."""
    limit = result["hbm_limit_bytes"]
    mesh = " x ".join(f"{axis} {size}" for axis, size in result["mesh"].items() if size > 1) or "one device"
    lines = [f"{result['topology']}: {result['devices']} devices ({mesh}), attention by {result['attention']}"]
    lines[0] += f", compiled by {result['compiler']}"
    if any(entry["name"] == "train_step" for entry in result["programs"]):
        chunk = result["logits_chunk"] or "all"
        lines[0] += f"; {result['rows']} rows at once, remat {result['remat']}, logits of {chunk} positions"
    lines.append(
        f"{'program':12} {'GiB a chip':>10} {'TFLOPs':>10} {'/ model':>8} {'seconds >=':>10} {'MFU <=':>7}  bound by"
    )
    for entry in result["programs"]:
        row = f"{entry['name']:12} {entry['hbm_bytes'] / GIB:10.1f} {entry['hlo_flops'] / 1e12:10.4g}"
        row += f" {entry['recomputation']:8.2f}"
        if "bound_seconds" in entry:
            slowest = max(entry["bound_seconds"], key=entry["bound_seconds"].get)
            row += f" {entry['step_seconds_at_least']:10.3g} {entry['mfu_at_most']:7.0%}  {slowest}"
        lines.append(row + ("" if entry["fits"] else "  DOES NOT FIT"))
    room = f" of {limit / GIB:.2f} GiB" if limit else ""
    lines.append(f"{'fits' if result['fits'] else 'does not fit'}: {result['hbm_bytes'] / GIB:.1f}{room}")
    if not result["fits"]:
        near = result.get("nearest")
        lines.append("nearest that fits: " + (as_overrides(near) if near else "none found"))
    return "\n".join(lines)
