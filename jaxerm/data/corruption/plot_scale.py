"""Axes that come to other ticks because of what was done to the data: a side effect that shows, so it is an entry."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from jaxerm.data.corruption.plot_axes import grid_of
from jaxerm.data.corruption.plot_code import Plot, PlotCode, constants
from jaxerm.data.program import Edit

_MARGIN = 0.05
_BARS = ("bar", "barh")
_WIDTH = 0.8
RESIZED = {"extra_subplot", "remove_subplot", "arrange", "swap_subplots", "share"}
"""Edits after which axes have other sizes, and ticks that are not known from the data alone."""
_OF_AN_AXIS = {"limits", "log", "no_ticks"}
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


def _axes(view: PlotCode, room: float = 1.0) -> dict[str, list[float]]:
    """Axis -> its ticks, for the axes whose data is written out; with less `room` for them, fewer."""
    names = {plot.name for plot in view.plots}
    if not all(plot.second is not None for plot in view.plots) or view.projection or "yscale" in view.setters:
        return {}
    values = [value for plot in view.plots for value in plot.reach]
    grid = grid_of(view.subplots)
    steps = {axis: int(room * _STEPS.get((axis, grid), 9)) for axis in "xy"}
    found = {}
    if names <= set(_BARS):
        axis = "x" if names == {"barh"} else "y"
        found[axis] = ticks(values, min(min(plot.base, default=0) for plot in view.plots), steps[axis])
        sides = [side for plot in view.plots for side in _sides(plot)]
        if sides and axis == "y":
            found["x"] = ticks(sides, None, steps["x"])
    elif names == {"hist"}:
        counts = [_counts(plot) for plot in view.plots]
        found["y"] = None if None in counts else ticks([count for each in counts for count in each], 0, steps["y"])
    elif names <= {"plot", "scatter", "step", "fill_between"}:
        areas = [0.0] if "fill_between" in names else []
        found["y"] = ticks([*values, *areas], None, steps["y"])
        places = [place for plot in view.plots if plot.first is not None for place in _numbers(plot.first)]
        if places and not view.twins:
            found["x"] = ticks(places, None, steps["x"])
    set_by_hand = {axis for axis in "xy" if {f"{axis}lim", f"{axis}ticks"} & set(view.setters)}
    return {axis: where for axis, where in found.items() if where and axis not in set_by_hand}


def steady(view: PlotCode, axis: str) -> bool:
    """Whether an axis keeps its ticks when their labels are half as large again: they name things, or are few."""
    if f"{axis}ticks" in view.setters:
        return True
    named = "y" if view.plots[0].name == "barh" else "x"
    if axis == named and any(isinstance(label, str) for plot in view.plots for label in _labels(plot)):
        return True
    where = _axes(view).get(axis)
    return where is not None and where == _axes(view, 0.6).get(axis)


def _counts(plot: Plot) -> list[int] | None:
    """How many values of a histogram lie in each of its bins."""
    bins = plot.keywords.get("bins")
    number = getattr(bins.value, "value", None) if bins is not None else 10
    return np.histogram(plot.values, number)[0].tolist() if isinstance(number, int) else None


def _labels(plot: Plot) -> list:
    return constants(plot.first) if plot.first is not None else []


def _sides(plot: Plot) -> list[float]:
    """Where upright bars that stand at numbers begin and end; empty where that is not written out."""
    width = plot.call.args[2] if len(plot.call.args) > 2 else getattr(plot.keywords.get("width"), "value", None)
    width = _WIDTH if width is None else getattr(width, "value", None)
    places = _labels(plot)
    if not isinstance(width, int | float) or any(isinstance(place, str) for place in places):
        return []
    return [place + side * width / 2 for place in places for side in (-1, 1)]


def _numbers(node) -> list[float]:
    return [value for value in constants(node) if isinstance(value, int | float)]


def rescaled(before: PlotCode, after: PlotCode, edits: Sequence[Edit]) -> list[Edit]:
    """An entry for each axis whose first or last tick is another one after the edits.

    Args:
      before, after: the program without and with all its edits.
      edits: those edits.
    """
    if RESIZED & {edit.kind for edit in edits} or len(before.views) != len(after.views):
        return []
    told = {edit.location for edit in edits if edit.kind in _OF_AN_AXIS}
    entries = []
    for old, new in zip(before.views, after.views, strict=True):
        if len({any(plot.name == "barh" for plot in view.plots) for view in (old, new)}) > 1:
            continue  # the axes have changed places
        was, now = _axes(old), _axes(new)
        for axis in sorted(set(was) & set(now)):
            ends = (now[axis][0], now[axis][-1]), (was[axis][0], was[axis][-1])
            where = old.located(f"{axis}-axis")
            if ends[0] != ends[1] and where not in told:
                text = "ticks run from {:g} to {:g}, should run from {:g} to {:g}".format(*ends[0], *ends[1])
                entries.append(Edit("rescale", "data_error", 1, where, text))
    return entries
