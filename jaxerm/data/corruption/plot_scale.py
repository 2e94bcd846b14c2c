"""Axes that come to other ticks because of what was done to the data: a side effect that shows, so it is an entry."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from jaxerm.data.corruption.plot_code import Plot, PlotCode, constants
from jaxerm.data.corruption.plot_reading import grid_of
from jaxerm.data.program import Edit

_MARGIN = 0.05
_BARS = ("bar", "barh")
_OTHERWISE = {"kind", "extra_subplot", "remove_subplot", "arrange", "swap_subplots", "no_errors"}
"""Edits that say themselves that the whole chart is another one; or after which its axes have other sizes."""
_OF_AN_AXIS = {"limits", "log", "no_ticks", "tick_size"}
"""Edits that say that one axis is another, or after which it cannot be read."""


def ticks(values: Collection[float], floor: float | None, steps: int = 9) -> list[float] | None:
    """Where matplotlib puts the ticks of an axis that fits its data; None where all values are one.

    The data's range and a margin of 5 % at both ends, none where the bars stand.

    Args:
      values: the data.
      floor: where bars begin; None where there are none.
      steps: at most; 9 where there is room for the labels.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if floor is not None:
        low, high = min(low, floor), max(high, floor)
    if high <= low:
        return None
    margin = _MARGIN * (high - low)
    low, high = (low if low == floor else low - margin), (high if high == floor else high + margin)
    found = MaxNLocator(steps, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(f"{tick:.10g}") + 0.0 for tick in found if low <= tick <= high]


_STEPS = {("x", (1, 2)): 7, ("y", (2, 1)): 8, ("x", (1, 3)): 6, ("x", (2, 2)): 7}
"""Fewer steps fit an axis of several subplots, at the size that `Charts` gives them."""


def _axes(view: PlotCode) -> dict[str, list[float]]:
    """Axis -> its ticks, for the axes whose data is written out."""
    names = {plot.name for plot in view.plots}
    if not all(plot.second is not None for plot in view.plots) or view.projection or "yscale" in view.setters:
        return {}
    values = [value for plot in view.plots for value in plot.reach]
    grid = grid_of(view.subplots)
    steps = {axis: _STEPS.get((axis, grid), 9) for axis in "xy"}
    found = {}
    if names <= set(_BARS):
        axis = "x" if names == {"barh"} else "y"
        found[axis] = ticks(values, min(min(plot.base, default=0) for plot in view.plots), steps[axis])
    elif names == {"hist"}:
        counts = [_counts(plot) for plot in view.plots]
        found["y"] = None if None in counts else ticks([count for each in counts for count in each], 0, steps["y"])
    elif names <= {"plot", "scatter", "step", "fill_between"}:
        areas = [0.0] if "fill_between" in names else []
        found["y"] = ticks([*values, *areas], None, steps["y"])
        places = [place for plot in view.plots if plot.first is not None for place in _numbers(plot.first)]
        if places and not view.twins:
            found["x"] = ticks(places, None, steps["x"])
    return {axis: where for axis, where in found.items() if where and f"{axis}lim" not in view.setters}


def _counts(plot: Plot) -> list[int] | None:
    """How many values of a histogram lie in each of its bins."""
    bins = plot.keywords.get("bins")
    number = getattr(bins.value, "value", None) if bins is not None else 10
    return np.histogram(plot.values, number)[0].tolist() if isinstance(number, int) else None


def _numbers(node) -> list[float]:
    return [value for value in constants(node) if isinstance(value, int | float)]


def rescaled(before: PlotCode, after: PlotCode, edits: Sequence[Edit]) -> list[Edit]:
    """An entry for each axis whose first or last tick is another one after the edits.

    Args:
      before, after: the program without and with all its edits.
      edits: those edits.
    """
    kinds = {edit.kind for edit in edits}
    if _OTHERWISE & kinds or len(before.views) != len(after.views):
        return []
    told = {edit.location for edit in edits if edit.kind in _OF_AN_AXIS}
    entries = []
    for old, new in zip(before.views, after.views, strict=True):
        was, now = _axes(old), _axes(new)
        shared = {"y"} if "share" in kinds else set()
        for axis in sorted(set(was) & set(now) - shared):
            ends = (now[axis][0], now[axis][-1]), (was[axis][0], was[axis][-1])
            where = old.located(f"{axis}-axis")
            if ends[0] != ends[1] and where not in told:
                text = "ticks run from {:g} to {:g}, should run from {:g} to {:g}".format(*ends[0], *ends[1])
                entries.append(Edit("rescale", "data_error", 1, where, text))
    return entries
