"""The ledger of an attempt at a chart: figure with figure, what matplotlib drew and not how it was written."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxerm.data.natural.chart_axes import compare_axes
from jaxerm.data.natural.figure import FigureError, read_figure
from jaxerm.data.program import Edit
from jaxerm.render import RenderPool

_WHOLE = "whole figure"
_NAMES = {
    (1, 2): ["left", "right"], (2, 1): ["top", "bottom"], (1, 3): ["left", "middle", "right"],
    (3, 1): ["top", "middle", "bottom"], (2, 2): ["top left", "top right", "bottom left", "bottom right"],
}  # fmt: skip
_TURNED = {
    (1, 2): "one above the other, should be side by side",
    (2, 1): "side by side, should be one above the other",
    (1, 3): "one above the other, should be side by side",
    (3, 1): "side by side, should be one above the other",
}


def compare_charts(reference: str, attempt: str, pool: RenderPool) -> tuple[Edit, ...] | None:
    """What differs between a chart and an attempt at it, in the words of `corrupt_chart`.

    Both programs run in the pool's sandbox.

    Returns:
      The ledger, subplot after subplot; None if the attempt draws no figure.

    Raises:
      FigureError: the reference draws none.
    """
    wanted = read_figure(reference, pool)
    try:
        found = read_figure(attempt, pool)
    except FigureError:
        return None
    return compare_figures(wanted, found)


def _grid(axes: list[dict[str, Any]]) -> tuple[int, int]:
    """Rows and columns the axes stand in; margins may differ, so it is their middles that are told apart."""
    across, down = (sorted(one["place"][side] + one["place"][side + 2] / 2 for one in axes) for side in (0, 1))
    steps = [sum(b - a > 0.15 for a, b in zip(line, line[1:], strict=False)) for line in (down, across)]
    return steps[0] + 1, steps[1] + 1


def _names(axes: list[dict[str, Any]]) -> list[str]:
    """What a reader calls each of the axes; an empty name where there is one."""
    if len(axes) == 1:
        return [""]
    if len(axes) == 2 and all(one["twin"] for one in axes):
        return ["right" if one["right"] else "left" for one in axes]
    grid = _grid(axes)
    order = sorted(range(len(axes)), key=lambda i: (-round(axes[i]["place"][1], 1), axes[i]["place"][0]))
    named = _NAMES.get(grid, [])
    if len(named) != len(axes):
        named = [("first", "second", "third", "fourth")[n] if n < 4 else f"{n + 1}th" for n in range(len(axes))]
    return [named[order.index(i)] for i in range(len(axes))]


def _weight(edits: list[Edit]) -> int:
    return sum(edit.severity for edit in edits)


def compare_figures(wanted: list[dict[str, Any]], found: list[dict[str, Any]]) -> tuple[Edit, ...]:
    """The same for what `read_figure` tells."""
    names, theirs = _names(wanted), _names(found)
    twins = len(wanted) == 2 and all(one["twin"] for one in wanted)
    made = {(i, j): compare_axes(wanted[i], found[j]) for i, j in product(range(len(wanted)), range(len(found)))}
    cost = np.array([[_weight(made[i, j]) for j in range(len(found))] for i in range(len(wanted))], float)
    cost += 0.5 * (np.arange(len(wanted))[:, None] != np.arange(len(found))[None])
    pairs = [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost), strict=True)]
    entries = []
    for i in sorted(set(range(len(wanted))) - {i for i, _ in pairs}):
        entries.append(Edit("remove_subplot", "structure_error", 3, f"{names[i]} subplot", "subplot is missing"))
    for j in sorted(set(range(len(found))) - {j for _, j in pairs}):
        what = "an empty subplot" if not found[j]["series"] else "a subplot"
        text = f"{what} is extra at the {theirs[j]}, and takes room from the rest"
        entries.append(Edit("extra_subplot", "structure_error", 3, _WHOLE, text))
    turned = False
    if len(wanted) == len(found) > 1:
        grids = _grid(wanted), _grid(found)
        turned = grids[0] != grids[1]
        if grids[0] != grids[1] and grids[1] == grids[0][::-1] and grids[0] in _TURNED:
            entries.append(Edit("arrange", "structure_error", 2, _WHOLE, f"subplots are {_TURNED[grids[0]]}"))
        elif grids[0] != grids[1]:
            text = "subplots are in {} rows and {} columns, should be {} and {}".format(*grids[1], *grids[0])
            entries.append(Edit("arrange", "structure_error", 2, _WHOLE, text))
        elif any(names[i] != theirs[j] for i, j in pairs):
            moved = " and ".join(names[i] for i, j in sorted(pairs) if names[i] != theirs[j])
            text = f"the {moved} subplots are in each other's place"
            entries.append(Edit("swap_subplots", "structure_error", 2, _WHOLE, text))
    shared = _shares_scale(found) and not _shares_scale(wanted)
    if shared and len(wanted) == len(found) > 1 and not twins:
        entries.append(Edit("share", "structure_error", 2, _WHOLE, "subplots share their y-axis, should not"))
    for i, j in sorted(pairs):
        for edit in made[i, j]:
            # Axes of another size have other ticks, and shared ones hide some.
            other = turned or (shared and edit.location == "y-axis") or len(wanted) != len(found)
            if (other and edit.kind == "rescale") or (shared and edit.kind in ("limits", "no_ticks")):
                continue
            where = f"{edit.location} of the {names[i]} subplot" if names[i] else edit.location
            if twins:
                whole = edit.location in ("title", "x-axis label", "x-axis")
                where = edit.location if whole else f"{edit.location} on the {names[i]} axis"
            entries.append(Edit(edit.kind, edit.category, edit.severity, where, edit.description))
    return tuple(entries)


def _shares_scale(axes: list[dict[str, Any]]) -> bool:
    return len({tuple(one["ylim"]) for one in axes}) == 1 and all(one["shape"] == "rectilinear" for one in axes)
