"""Edits of how a figure is divided: subplots extra, missing, in other places, with a shared axis."""

from __future__ import annotations

import ast
from collections.abc import Callable

import numpy as np

from jaxerm.data.corruption.common import Step, pick
from jaxerm.data.corruption.plot_axes import grid_of
from jaxerm.data.corruption.plot_code import PlotCode, Splice
from jaxerm.data.program import Edit

_WHOLE = "whole figure"
_UPRIGHT, _FLAT = "one above the other, should be side by side", "side by side, should be one above the other"
_ARRANGED = {
    (1, 2): ((2, 1), _UPRIGHT), (2, 1): ((1, 2), _FLAT), (1, 3): ((3, 1), _UPRIGHT),
    (2, 2): ((1, 4), "in 1 rows and 4 columns, should be 2 and 2"),
}  # fmt: skip


class SubplotEdits:
    """Draws steps for the statement ``fig, ax = plt.subplots(...)`` of one program."""

    def __init__(self, code: PlotCode, rng: np.random.Generator):
        self.code, self.rng = code, rng
        self.statement = code.subplots
        target = self.statement.targets[0] if self.statement is not None else None
        pair = isinstance(target, ast.Tuple) and len(target.elts) == 2
        self.axes = target.elts[1] if pair else None
        rows = self.axes.elts if isinstance(self.axes, ast.Tuple) else []
        self.names = [node for row in rows for node in (row.elts if isinstance(row, ast.Tuple) else [row])]

    def makers(self) -> list[Callable[[], Step | None]]:
        """The kinds there is something for: a figure with one pair of axes, or with several that have names."""
        if self.axes is None or not self.code.simple:
            return []
        if isinstance(self.axes, ast.Name) and grid_of(self.statement) == (1, 1) and not self.code.projection:
            return [self.extra]
        named = all(isinstance(node, ast.Name) for node in self.names) and len(self.statement.value.args) == 2
        if named and len(self.names) == len(self.code.views) > 1 and grid_of(self.statement) in _ARRANGED:
            return [self.remove, self.arrange, self.share, self.swap]
        return []

    def _step(self, kind: str, severity: int, where: str, text: str, splices: list[Splice]) -> Step:
        edit = Edit(kind, "structure_error", severity, where, text)
        # Over a pie on half the figure a title at the left, or a small one, looks like any other.
        touches = ["subplots", *((view.place, "title") for view in self.code.views if view.plots[0].name == "pie")]
        return Step(edit, lambda found: found.extend(splices), frozenset(touches), (-1,))

    def _arguments(self, text: str) -> Splice:
        """Replaces the positional arguments of the call."""
        call = self.statement.value
        at = self.code.span(call.func)[1] + 1
        if call.args:
            at, end = self.code.span(call.args[0])[0], self.code.span(call.args[-1])[1]
            if not text and call.keywords:
                end = self.code.span(call.keywords[0])[0]
            return (at, end), text
        return (at, at), text + ", " * bool(text and call.keywords)

    def extra(self) -> Step:
        """A second, empty subplot; not beside polar axes or a chart in space, whose words need the room."""
        title = self.code.setters.get("title")
        # A long title would not fit over half the width.
        long = (title is not None and len(title.text() or "") > 24) or _across(self.code) > 24
        grid, place = pick(self.rng, (("2, 1", "bottom") if long else ("1, 2", "right"), ("2, 1", "bottom")))
        if all(keyword.arg != "layout" for keyword in self.statement.value.keywords):
            grid += ', layout="constrained"'
        splices = [(self.code.span(self.axes), f"({self.axes.id}, empty)"), self._arguments(grid)]
        text = f"an empty subplot is extra at the {place}, and takes room from the rest"
        return self._step("extra_subplot", 3, _WHOLE, text, splices)

    def remove(self) -> Step | None:
        """One subplot gone; of two, the other in its place."""
        gone = pick(self.rng, self.code.views)
        lines = [
            statement
            for statement in ast.parse(self.code.code).body
            if statement is not self.statement
            and any(isinstance(node, ast.Name) and node.id == gone.axes for node in ast.walk(statement))
            and not isinstance(statement, ast.Assign)
        ]
        splices = [(self.code.line_span(line), "") for line in lines]
        if len(self.names) > 2:
            splices.append(self.code.before_saving(f"{gone.axes}.remove()"))
        else:
            kept = next(node.id for node in self.names if node.id != gone.axes)
            splices += [(self.code.span(self.axes), kept), self._arguments("")]
        return self._step("remove_subplot", 3, f"{gone.place} subplot", "subplot is missing", splices)

    def arrange(self) -> Step | None:
        """Subplots one above the other instead of side by side, or the other way round; four of them in one row."""
        grid, text = _ARRANGED[grid_of(self.statement)]
        if grid[0] == 1 and max(map(_across, self.code.views)) > 16:
            return None
        flat = f"({', '.join(node.id for node in self.names)})"
        splices = [(self.code.span(self.axes), flat), self._arguments(f"{grid[0]}, {grid[1]}")]
        return self._step("arrange", 2, _WHOLE, f"subplots are {text}", splices)

    def share(self) -> Step | None:
        """Subplots with one scale."""
        if any(keyword.arg in ("sharex", "sharey") for keyword in self.statement.value.keywords):
            return None
        values = [[value for plot in view.plots for value in plot.values] for view in self.code.views]
        upright = all(plot.name in ("bar", "plot", "scatter") for view in self.code.views for plot in view.plots)
        # Scales that are nearly the same look the same shared or not.
        tops = [max(each, default=0) for each in values]
        if not all(values) or not upright or min(tops) <= 0 or min(tops) > 0.7 * max(tops):
            return None
        splices = [self._arguments(f"{', '.join(map(str, grid_of(self.statement)))}, sharey=True")]
        return self._step("share", 2, _WHOLE, "subplots share their y-axis, should not", splices)

    def swap(self) -> Step:
        """Two subplots in each other's place."""
        places = sorted(self.rng.choice(len(self.names), size=2, replace=False)) if len(self.names) > 2 else (0, 1)
        one, two = (self.names[place] for place in places)
        splices = [(self.code.span(one), two.id), (self.code.span(two), one.id)]
        places = " and ".join(self.code.views[place].place for place in places)
        return self._step("swap_subplots", 2, _WHOLE, f"the {places} subplots are in each other's place", splices)


def _across(view: PlotCode) -> int:
    """Letters along the x-axis, blanks between: names that stand there lie over each other where it is short."""
    if view.plots[0].name in ("barh", "pie") or view.projection:
        return 0
    nodes = [node for plot in view.plots if plot.first is not None for node in plot.first.elts]
    nodes += ast.walk(view.setters["xticks"].call) if "xticks" in view.setters else []
    names = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return len(" ".join(names))
