"""Edits of what a matplotlib program draws: values, points, tick labels, whole series, the kind of chart."""

from __future__ import annotations

import ast

import numpy as np

from jaxerm.data.corruption.common import Step, contrast, misspelt, other, pick, shown
from jaxerm.data.corruption.plot_code import Plot, PlotCode, Splice
from jaxerm.data.program import Edit

KIND_WORDS = {
    "bar": "bar chart", "barh": "horizontal bar chart", "plot": "line chart", "scatter": "scatter chart",
    "pie": "pie chart", "hist": "histogram", "step": "step chart", "fill_between": "area chart",
    "errorbar": "chart with error bars", "boxplot": "box plot", "violinplot": "violin plot", "imshow": "heat map",
    "contour": "contour plot of lines", "contourf": "filled contour plot",
}  # fmt: skip
OTHER_KINDS = {
    "bar": ("barh", "plot"), "barh": ("bar", "plot"), "plot": ("bar", "scatter", "step", "fill_between"),
    "scatter": ("plot",), "step": ("plot", "bar"), "fill_between": ("plot", "bar"), "errorbar": ("plot", "bar"),
}  # fmt: skip
_POINT_WORDS = {
    "bar": "bar", "barh": "bar", "plot": "point", "scatter": "point", "pie": "slice", "step": "point",
    "fill_between": "point", "errorbar": "point", "boxplot": "box", "violinplot": "violin", "imshow": "column",
}  # fmt: skip
_SERIES_WORDS = {
    "bar": "bars", "barh": "bars", "plot": "line", "scatter": "points", "hist": "bars", "step": "line",
    "fill_between": "area", "errorbar": "points",
}  # fmt: skip
FROM_ZERO = ("bar", "barh", "pie", "fill_between")
_KEPT_KEYWORDS = ("color", "label", "alpha")
"""Keywords that every kind of plot takes."""


def written(value: float | str) -> str:
    """A constant as Python writes it."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:.6g}" if "e" not in f"{value:.6g}" else repr(round(value, 6))


class PlotEditor:
    """Draws steps that change data. A step applied appends its splices to a list."""

    def __init__(self, code: PlotCode, rng: np.random.Generator, number: int = 0):
        self.code, self.rng, self.number = code, rng, number
        self.single = len(code.plots) == 1

    def step(
        self, kind: str, category: str, severity: int, where: str, text: str, splices: list[Splice], touches, order
    ) -> Step:
        edit = Edit(kind, category, severity, self.code.located(where), text)
        own = frozenset((self.code.place, thing) for thing in touches)
        return Step(edit, lambda found: found.extend(splices), own, (self.number, *order))

    def plot_number(self, plot: Plot) -> int:
        return self.code.plots.index(plot)

    def series_words(self, plot: Plot) -> str:
        if self.single:
            if plot.name == "plot" and len(plot.call.args) > 3:
                return "lines"
            form = plot.call.args[2] if plot.name == "plot" and len(plot.call.args) == 3 else None
            dots = isinstance(form, ast.Constant) and not set(str(form.value)) & set("-:")
            return "points" if dots else _SERIES_WORDS.get(plot.name, "plot area")
        label = plot.keywords.get("label")
        name = getattr(getattr(label, "value", None), "value", None) or str(self.plot_number(plot) + 1)
        return f"series {name}"

    def _point(self, plot: Plot, place: int) -> str:
        """Such as ``bar 2 (Ford)``."""
        labels = self.names(plot)
        name = f" ({shown(labels[place])})" if place < len(labels) else ""
        series = "" if self.single else f" of {self.series_words(plot)}"
        return f"{_POINT_WORDS[plot.name]} {place + 1}{name}{series}"

    def names(self, plot: Plot, axis: str = "x") -> list[str]:
        """What the points are called: by the ticks where the axis only counts."""
        ticks = self.code.setters.get(f"{axis}ticks")
        if ticks is None or len(ticks.call.args) < 2:
            return plot.labels if axis == "x" else []
        try:
            return [str(label) for label in ast.literal_eval(ticks.call.args[1])]
        except (ValueError, TypeError):
            return []

    def all_points(self) -> list[tuple]:
        plots = enumerate(self.code.plots)
        return [("point", number, place) for number, plot in plots for place in range(len(plot.values))]

    def _has_points(self, plot: Plot) -> bool:
        return plot.second is not None and plot.name in _POINT_WORDS

    def value(self, plot: Plot) -> Step | None:
        if not self._has_points(plot):
            return None
        values = plot.values
        place = int(self.rng.integers(len(values)))
        old = values[place]
        low, high = min(values), max(values)
        if plot.name in FROM_ZERO or self.code.projection == "polar":
            low = min(low, 0)
        if self.code.projection == "3d" and old in (low, high):
            return None  # it would take the axis with it
        extent = (high - low) or abs(high) or 1
        share = pick(self.rng, (0.15, 0.3, 0.5, 0.7)) * pick(self.rng, (1, -1))
        # What is measured in fractions is changed by fractions, what is counted by whole numbers.
        digits = 0 if all(float(value).is_integer() for value in values) and extent >= 10 else 2 if extent >= 1 else 4
        new = round(old + share * extent, digits)
        new = int(new) if digits == 0 else new
        if (min(values) >= 0 and new <= 0) or new == old or (self.code.projection == "3d" and not low <= new <= high):
            return None
        if not self.code.inside([reach - old + new for reach in plot.reach]) or not self.code.can_tell(old, new):
            return None
        change = abs(new - old) / extent
        text = f"value is {written(new)}, should be {written(old)}"
        if plot.name == "pie":
            before, total = old / sum(values), sum(values) - old + new
            change = abs(new / total - before) * 2
            text = f"share is {new / total:.0%}, should be {before:.0%}"
            if f"{new / total:.0%}" == f"{before:.0%}":
                return None
        severity = 1 if change < 0.2 else 2 if change < 0.4 else 3
        number = self.plot_number(plot)
        splices = [(self.code.span(plot.second.elts[place]), written(new))]
        # The shares of a pie depend on each other.
        touches = self.all_points() if plot.name == "pie" else [("point", number, place)]
        where = self._point(plot, place)
        return self.step("value", "data_error", severity, where, text, splices, touches, (5, number, place))

    def remove_point(self, plot: Plot) -> Step | None:
        if not self._has_points(plot) or not self.single or plot.first is None or len(plot.values) < 3:
            return None
        if self.code.projection or self.code.twins:
            return None
        place = int(self.rng.integers(len(plot.values)))
        splices = []
        lists = (plot.first, plot.second, plot.listed("s"), plot.listed("yerr"))
        for node in {id(node): node for node in lists if node is not None}.values():
            spans = [self.code.span(element) for element in node.elts]
            last = place == len(spans) - 1
            span = (spans[place - 1][1], spans[place][1]) if last else (spans[place][0], spans[place + 1][0])
            splices.append((span, ""))
        where = self._point(plot, place)
        text = f"{_POINT_WORDS[plot.name]} is missing"
        # A second one beside it would meet the same comma; one missing point of a few is enough.
        points = self.all_points() if plot.name == "pie" else [("point", 0, place)]
        touches = [*points, "removed point"]
        return self.step("remove_point", "data_error", 3, where, text, splices, touches, (5, 0, place))

    def rename_point(self, plot: Plot) -> Step | None:
        nodes = plot.first
        ticks = self.code.setters.get("xticks")
        if ticks is not None and len(ticks.call.args) > 1:
            nodes = ticks.call.args[1]
        if not isinstance(nodes, ast.List) or plot.name == "hist" or self.code.twins:
            return None
        count = len(plot.rows[0].elts if plot.name == "imshow" else plot.rows) if plot.rows else len(plot.values)
        if not all(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in nodes.elts):
            return None
        place = int(self.rng.integers(len(nodes.elts)))
        old = nodes.elts[place].value
        taken = {node.value for node in nodes.elts}
        at = [number for number, letter in enumerate(old) if letter.isdigit()]
        new = misspelt(self.rng, old)
        if new is None and at:
            digit = pick(self.rng, at[-2:])
            new = old[:digit] + other(self.rng, "0123456789", old[digit]) + old[digit + 1 :]
        if not new or new in taken or place >= count:
            return None
        splices = [(self.code.span(nodes.elts[place]), written(new))]
        touches = [("point", number, place) for number in range(len(self.code.plots))]
        text = "label is {}, should be {}".format(*contrast(new, old))
        where = f"{_POINT_WORDS[plot.name]}{'' if self.single else 's'} {place + 1}"
        return self.step("label", "text_error", 2, where, text, splices, touches, (5, 0, place))

    def kind(self, plot: Plot) -> Step | None:
        if not self.single or plot.second is None or plot.first is None or plot.name not in OTHER_KINDS:
            return None
        if len(plot.call.args) > 2 or self.code.projection or self.code.twins:
            return None
        fixed = {"xlim", "ylim", "yscale"} & set(self.code.setters)
        # Limits and a scale belong to one axis: the bars would lie outside of them.
        kinds = [kind for kind in OTHER_KINDS[plot.name] if not fixed or "barh" not in (kind, plot.name)]
        if not kinds:
            return None
        new = pick(self.rng, kinds)
        call = plot.call
        start = self.code.span(call.func.value)[1]
        splices: list[Splice] = [((start, self.code.span(call.func)[1]), f".{new}")]
        ends = [self.code.span(argument)[1] for argument in (*call.args, *call.keywords)]
        for number, keyword in enumerate(call.keywords):
            if keyword.arg not in _KEPT_KEYWORDS:
                splices.append(((ends[len(call.args) + number - 1], ends[len(call.args) + number]), ""))
        text = f"{KIND_WORDS[new]}, should be {self.kind_words(plot)}"
        # It takes the words for a single point with it.
        touches = ["kind", "style of line", "axis", *self.all_points()]
        # Names beside horizontal bars may push the axis label out of the picture.
        touches += ["y"] if new == "barh" else []
        return self.step("kind", "structure_error", 3, "plot area", text, splices, touches, (0,))

    def kind_words(self, plot: Plot) -> str:
        """What a chart of such a plot is called."""
        if self.code.projection == "polar":
            return {"bar": "polar bar chart", "plot": "radar chart"}.get(plot.name, f"polar {KIND_WORDS[plot.name]}")
        if plot.name == "scatter" and plot.listed("s") is not None:
            return "bubble chart"
        return "donut chart" if plot.name == "pie" and "wedgeprops" in plot.keywords else KIND_WORDS[plot.name]

    def series(self, plot: Plot) -> Step | None:
        if self.single or not isinstance(plot.statement, ast.Expr):
            return None
        number = self.plot_number(plot)
        # Nobody could tell how the axes come to fit what is left.
        if any(known.second is None for known in self.code.plots) and not {"xlim", "ylim"} <= set(self.code.setters):
            return None
        # Those that follow would take over its colour.
        if any("color" not in later.keywords for later in self.code.plots[number + 1 :]):
            return None
        splices = [(self.code.line_span(plot.statement), "")]
        touches = [*self.all_points(), ("style", number), "series"]
        where = self.series_words(plot)
        return self.step("remove_series", "data_error", 3, where, "series is missing", splices, touches, (0, number))

    def bins(self, plot: Plot) -> Step | None:
        known = plot.keywords.get("bins")
        now = getattr(known.value, "value", None) if known is not None else None
        if plot.name != "hist" or not isinstance(now, int):
            return None
        new = pick(self.rng, [count for count in range(max(2, now - 2), now + 5) if count != now])
        text = f"{new} bins, should be {now}"
        splices = [(self.code.span(known.value), str(new))]
        severity = 1 if abs(new - now) == 1 else 2
        return self.step("bins", "data_error", severity, "plot area", text, splices, ["counts"], (5,))

    def start_angle(self, plot: Plot) -> Step | None:
        if plot.name != "pie" or {"startangle", "counterclock"} & set(plot.keywords):
            return None
        angle = pick(self.rng, (90, 180, 270))
        end = self.code.span([*plot.call.args, *plot.call.keywords][-1])[1]
        text = f"first slice starts at {angle} degrees, should start at 0"
        splices = [((end, end), f", startangle={angle}")]
        return self.step("start_angle", "style_error", 1, "plot area", text, splices, ["kind", "angle"], (6,))
