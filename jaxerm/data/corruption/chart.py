"""Edits of a matplotlib program, on its syntax tree: its data, and its words, colours, lines, grid and limits."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import numpy as np

from jaxerm.data.corruption.common import Step, choose, contrast, misspelt, near, other, pick
from jaxerm.data.corruption.plot_code import Call, Plot, PlotCode, Splice, spliced
from jaxerm.data.corruption.plot_edits import OTHER_KINDS, PlotEditor, written
from jaxerm.data.corruption.plot_forms import FormEdits
from jaxerm.data.corruption.plot_looks import LookEdits
from jaxerm.data.corruption.plot_reading import read_plot_code
from jaxerm.data.corruption.plot_scale import RESIZED, rescaled
from jaxerm.data.corruption.plot_subplots import SubplotEdits
from jaxerm.data.corruption.plot_words import WordEdits
from jaxerm.data.program import Edit

_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:gray")
_MARKERS = {"o": "circles", "s": "squares", "^": "triangles", "x": "crosses"}
_DASHES = {"-": "solid", "--": "dashed", ":": "dotted"}
_ORDER = ("plot", "title", "x", "y", "z", "legend", "point", "style", "axis", "grid")
_WORDS = {"title": "title", "x": "x-axis label", "y": "y-axis label", "z": "z-axis label"}
_COLOURED = ("bar", "barh", "plot", "scatter", "hist", "step", "fill_between", "errorbar")


class _Editor(LookEdits, FormEdits, WordEdits, PlotEditor):
    """Draws steps of all kinds for one program."""

    def makers(self) -> list[Callable[[], Step | None]]:
        on_plots = (
            self.value, self.value, self.remove_point, self.rename_point, self.kind, self.series, self.series,
            self.colour, self.marker, self.dash, self.bins, self.start_angle,
        )  # fmt: skip
        makers = [lambda make=make: make(pick(self.rng, self.code.plots)) for make in on_plots]
        words = [lambda what=what: self.words(what) for what in _WORDS]
        return [*makers, *words, self.limits, self.grid, self.legend, *self.looks(), *self.forms(), *self.wordings()]

    def _keyword_step(self, plot: Call, keyword: str, new: str | float | None) -> list[Splice]:
        """Sets a keyword of a call to a constant; None takes it out."""
        call, known = plot.call, plot.keywords.get(keyword)
        if known is not None and new is not None:
            return [(self.code.span(known.value), written(new))]
        arguments = [*call.args, *call.keywords]
        if known is not None:
            before = arguments[arguments.index(known) - 1]
            return [((self.code.span(before)[1], self.code.span(known)[1]), "")]
        end = self.code.span(arguments[-1])[1]
        return [((end, end), f", {keyword}={written(new)}")]

    def _style(self, plot: Plot, keyword: str, default: str) -> str | None:
        """The value of a style keyword; None where it is no plain text."""
        known = plot.keywords.get(keyword)
        if known is None:
            return default
        value = known.value
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None

    def colour(self, plot: Plot) -> Step | None:
        if plot.name not in _COLOURED or len(plot.call.args) > 2 and plot.name == "plot":
            return None
        # Without a colour of its own the first series is blue.
        now = self._style(plot, "color", "tab:blue" if self.single else "")
        if not now:
            return None
        taken = {self._style(known, "color", "") for known in self.code.plots}
        free = [colour for colour in _COLOURS if colour not in taken and colour != now]
        if not free:
            return None
        new = pick(self.rng, free)
        text = f"{new.removeprefix('tab:')}, should be {now.removeprefix('tab:')}"
        number = self.plot_number(plot)
        splices = self._keyword_step(plot, "color", new)
        where = self.series_words(plot)
        return self.step("colour", "style_error", 2, where, text, splices, [("style", number)], (6, number))

    def marker(self, plot: Plot) -> Step | None:
        now = self._style(plot, "marker", "")
        if plot.name != "plot" or now is None or len(plot.call.args) > 2 or (now and now not in _MARKERS):
            return None
        if now and self.rng.random() < 0.4:
            new, text, severity = None, f"markers are missing, should be {_MARKERS[now]}", 1
        elif now:
            new = other(self.rng, list(_MARKERS), now)
            text, severity = f"markers are {_MARKERS[new]}, should be {_MARKERS[now]}", 1
        else:
            new = pick(self.rng, list(_MARKERS))
            text, severity = f"markers are {_MARKERS[new]}, should be none", 1
        number = self.plot_number(plot)
        touches = ["style of line", ("style", number)]
        splices = self._keyword_step(plot, "marker", new)
        where = self.series_words(plot)
        return self.step("marker", "style_error", severity, where, text, splices, touches, (6, number))

    def dash(self, plot: Plot) -> Step | None:
        now = self._style(plot, "linestyle", "-")
        if plot.name not in ("plot", "step") or now not in _DASHES or len(plot.call.args) > 2:
            return None
        new = other(self.rng, list(_DASHES), now)
        number = self.plot_number(plot)
        touches = ["style of line", ("style", number)]
        splices = self._keyword_step(plot, "linestyle", None if new == "-" else new)
        text = f"line is {_DASHES[new]}, should be {_DASHES[now]}"
        where = self.series_words(plot)
        return self.step("dash", "style_error", 1, where, text, splices, touches, (6, number))

    def words(self, what: str) -> Step | None:
        """A title or axis label that is missing or misspelt."""
        setter = self.code.setters.get(what)
        old = setter.text() if setter is not None else None
        if not old:
            return None
        where, order, severity = _WORDS[what], (_ORDER.index(what),), 3 if what == "title" else 2
        if self.rng.random() < 0.5:
            splices = [(self.code.line_span(setter.statement), "")]
            text = f"{where} is missing"
            return self.step(f"remove_{what}", "text_error", severity, where, text, splices, [what], order)
        new = misspelt(self.rng, old)
        if self.rng.random() < 0.5:
            words = re.split(r"(\s+)", old)
            place = pick(self.rng, range(0, len(words), 2))
            words[place] = other(self.rng, ("total", "mean", "count", "rate", "share"), words[place])
            new = "".join(words)
        if new is None:
            return None
        letters = near(new, old)
        splices = [(self.code.span(setter.call.args[0]), written(new))]
        new_words, old_words = contrast(new, old, 60)
        text = f'{where} is "{new_words}", should be "{old_words}"'
        return self.step(f"rewrite_{what}", "text_error", 1 if letters else 2, where, text, splices, [what], order)

    def limits(self) -> Step | None:
        """The axis of the values runs further than it should."""
        plots = [plot for plot in self.code.plots if plot.second is not None and plot.name in OTHER_KINDS]
        if len(plots) < len(self.code.plots) or not self._plain or "yscale" in self.code.setters:
            return None
        axis = "x" if plots[0].name == "barh" else "y"
        if f"{axis}lim" in self.code.setters:
            return None
        values = [value for plot in plots for value in plot.reach]
        if min(values) < 0:
            return None
        factor = pick(self.rng, (1.6, 2, 3))
        top = float(f"{max(values) * factor:.1g}")
        if top < 1.4 * max(values):
            top = float(f"{max(values) * factor:.2g}")
        line = f"{self.code.axes}.{self.code.method(f'{axis}lim')}(0, {written(top)})"
        text = f"{axis}-axis runs from 0 to {written(top)}, should fit the data"
        severity = 1 if factor < 2 else 2
        splices = [self.code.before_saving(line)]
        # A value that grows could leave the picture.
        touches = ["axis", *self.all_points()]
        return self.step("limits", "data_error", severity, f"{axis}-axis", text, splices, touches, (7,))

    def grid(self) -> Step | None:
        if not self._bare:
            return None
        known = self.code.setters.get("grid")
        if known is None:
            splices, text = [self.code.before_saving(f"{self.code.axes}.grid(True)")], "grid is extra"
        else:
            arguments = [*known.call.args, *(keyword.value for keyword in known.call.keywords)]
            if arguments and getattr(arguments[0], "value", None) is False:
                return None
            splices, text = [(self.code.line_span(known.statement), "")], "grid is missing"
        return self.step("grid", "style_error", 1, "plot area", text, splices, ["grid"], (8,))

    def legend(self) -> Step | None:
        known = self.code.setters.get("legend")
        labelled = any("label" in plot.keywords for plot in self.code.plots)
        if (known is None and (not labelled or ".legend(" in self.code.code)) or self.code.twins:
            return None
        if known is None:
            splices, text, severity = [self.code.before_saving(f"{self.code.axes}.legend()")], "legend is extra", 1
        else:
            severity = 2 if self.single else 3
            splices, text = [(self.code.line_span(known.statement), "")], "legend is missing"
        return self.step("legend", "text_error", severity, "legend", text, splices, ["legend"], (4,))


def _applied(code: PlotCode, steps: list[Step]) -> str:
    splices: list[Splice] = []
    for step in steps:
        step.apply(splices)
    return spliced(code.code, splices)


def corrupt_chart(code: str, rng: np.random.Generator, n_edits: int) -> tuple[str, list[Edit], list[str]]:
    """Applies up to `n_edits` edits to different things of a matplotlib program; all else stays as it is written.

    Severity: 3 for another kind of chart, a series or point missing, a title missing, the legend of several series; a
    value 1 below a fifth of the range of the values (of bars: from 0), 2 below two fifths, else 3 (of a pie: twice the
    change of its share); 2 for an axis label missing, other words, a tick label, another colour, the legend of one
    series, an axis twice as long or more, logarithmic or upside down, bins that are two off, an extra series, subplots
    in other places, missing tick labels, a wrong legend entry; 1 for a letter or two wrong and for all else.

    Returns:
      The code, the ledger (kind, words, legend, points, styles, axes, grid; last the axes that came to other ticks
      because of an edit), and the code with each edit alone: empty for those last ones.

    Raises:
      ValueError: see `read_plot_code`.
    """
    plots = read_plot_code(code)
    if n_edits == 0:
        return code, [], []

    def fits(steps: list[Step]) -> bool:
        gone = {step.edit.location for step in steps if step.edit.kind == "remove_subplot"}
        if any(step.edit.location.endswith(f"of the {place}") for step in steps for place in gone):
            return False
        try:
            ast.parse(_applied(plots, steps))
            others = [step for step in steps if step.edit.kind not in RESIZED]
            # Beside axes of another size nobody could tell by how much the data has moved their ticks.
            return len(others) == len(steps) or not rescaled(plots, read_plot_code(_applied(plots, others)), [])
        except (ValueError, SyntaxError):
            return False

    editors = [_Editor(view, rng, number) for number, view in enumerate(plots.views)]
    makers = [make for editor in editors for make in editor.makers()] + SubplotEdits(plots, rng).makers()
    steps = choose(rng, makers, n_edits, fits)
    changed = _applied(plots, steps)
    edits, alone = [step.edit for step in steps], [_applied(plots, [step]) for step in steps]
    effects = rescaled(plots, read_plot_code(changed), edits)
    return changed, [*edits, *effects], [*alone, *("" for _ in effects)]
