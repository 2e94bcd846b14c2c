"""A plan as lines of text."""

from __future__ import annotations

from typing import Any

from jaxerm.models.chips import GIB


def plan_lines(result: dict[str, Any]) -> str:
    """A table of a plan: memory a chip, operations, what bounds the step, and whether it fits."""
    limit = result["hbm_limit_bytes"]
    mesh = " x ".join(f"{axis} {size}" for axis, size in result["mesh"].items() if size > 1) or "one device"
    choices = ", ".join(f"{name} {value}" for name, value in result["choices"].items())
    lines = [
        f"{result['topology']}: {result['devices']} devices ({mesh}), attention by {result['attention']}; {choices}"
    ]
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
    room = f" of {limit / GIB:.0f} GiB" if limit else ""
    lines.append(f"{'fits' if result['fits'] else 'does not fit'}: {result['hbm_bytes'] / GIB:.1f}{room}")
    if not result["fits"]:
        near = result.get("nearest")
        lines.append("nearest that fits: " + (", ".join(f"{k} {v}" for k, v in near.items()) if near else "none found"))
    return "\n".join(lines)
