"""Edits of the rarer kinds of charts: rings, bubbles, boxes, error bars, heat maps, contours, polar axes, space."""

from __future__ import annotations

import ast

from jaxerm.data.corruption.common import Step, other, pick, shown
from jaxerm.data.corruption.plot_code import Plot, Splice, constants
from jaxerm.data.corruption.plot_edits import KIND_WORDS, written

_MAPS = ("viridis", "Blues", "Reds", "Greens", "magma")
_OTHER_FORM = {
    "boxplot": "violinplot", "violinplot": "boxplot", "contour": "contourf", "contourf": "contour",
}  # fmt: skip
_IMAGES = ("imshow", "contour", "contourf")


class FormEdits:
    """Edits that `corrupt_chart` mixes in with its own. Stands on `PlotEditor`."""

    def forms(self) -> list:
        """The kinds."""
        on_plots = (
            self.form, self.form, self.group, self.group, self.remove_group, self.cell, self.cell, self.colour_map,
            self.levels, self.no_errors, self.error_size, self.bubble_size,
        )  # fmt: skip
        return [*(lambda make=make: make(pick(self.rng, self.code.plots)) for make in on_plots), self.colour_bar,
                self.view, self.linear]  # fmt: skip

    def form(self, plot: Plot) -> Step | None:
        """A near relative of the chart: a pie for a donut, violins for boxes, points alike for bubbles."""
        call = plot.call
        if self.code.projection == "polar" and len(self.code.views) == 1:
            known = next(keyword for keyword in self.code.subplots.value.keywords if keyword.arg == "subplot_kw")
            new, splices = KIND_WORDS[plot.name], [(self.code.span(known), "")]
        elif plot.name == "pie":
            ring = "wedgeprops" in plot.keywords
            new = "pie chart" if ring else "donut chart"
            splices = self._without(plot, "wedgeprops") if ring else self._with(plot, 'wedgeprops={"width": 0.4}')
        elif plot.name == "scatter" and plot.listed("s") is not None and len(call.args) == 2:
            new, splices = "scatter chart", self._without(plot, "s")
        elif plot.name in _OTHER_FORM and plot.rows:
            new = KIND_WORDS[_OTHER_FORM[plot.name]]
            at = self.code.span(call.func.value)[1], self.code.span(call.func)[1]
            splices = [(at, f".{_OTHER_FORM[plot.name]}")]
        else:
            return None
        text = f"{new}, should be {self.kind_words(plot)}"
        styles = [("style", number) for number in range(len(self.code.plots))]
        touches = ["kind", "style of line", "axis", "angle", "series", "legend", *self.all_points(), *styles]
        return self.step("kind", "structure_error", 3, "plot area", text, splices, touches, (0,))

    def _without(self, plot: Plot, keyword: str) -> list[Splice]:
        return self._keyword_step(plot, keyword, None)

    def _with(self, plot: Plot, text: str) -> list[Splice]:
        end = self.code.span([*plot.call.args, *plot.call.keywords][-1])[1]
        return [((end, end), f", {text}")]

    def _group(self, plot: Plot) -> tuple[int, str] | None:
        if plot.name not in ("boxplot", "violinplot") or len(plot.rows) < 2:
            return None
        place = int(self.rng.integers(len(plot.rows)))
        return place, self._point(plot, place)

    def group(self, plot: Plot) -> Step | None:
        """A box or violin that stands higher or lower."""
        chosen = self._group(plot)
        if chosen is None:
            return None
        place, where = chosen
        rows = [constants(row) for row in plot.rows]
        whole = [value for row in rows for value in row]
        extent = max(whole) - min(whole)
        share = pick(self.rng, (0.15, 0.3, 0.5)) * pick(self.rng, (1, -1))
        digits = 0 if all(float(value).is_integer() for value in whole) and extent >= 10 else 2 if extent >= 1 else 4
        shift = round(share * extent, digits)
        new = [round(value + shift, digits) for value in rows[place]]
        new = [int(value) for value in new] if digits == 0 else new
        if shift == 0 or not self.code.inside(new) or (min(whole) >= 0 and min(new) < 0):
            return None
        ends = (f"{end:g}" for end in (min(new), max(new), min(rows[place]), max(rows[place])))
        text = "values run from {} to {}, should run from {} to {}".format(*ends)
        severity = 1 if abs(share) < 0.2 else 2 if abs(share) < 0.4 else 3
        splices = [(self.code.span(plot.rows[place]), f"[{', '.join(map(written, new))}]")]
        return self.step("group", "data_error", severity, where, text, splices, [("group", place)], (5, 0, place))

    def remove_group(self, plot: Plot) -> Step | None:
        """A box or violin that is missing, its name with it."""
        chosen, ticks = self._group(plot), self.code.setters.get("xticks")
        names = self.names(plot)
        if chosen is None or ticks is None or len(names) != len(plot.rows) or len(names) < 3:
            return None
        place, where = chosen
        left = [name for at, name in enumerate(names) if at != place]
        rows = [ast.unparse(row) for at, row in enumerate(plot.rows) if at != place]
        splices = [(self.code.span(plot.call.args[0]), f"[{', '.join(rows)}]")]
        splices += [
            (self.code.span(ticks.call.args[0]), str(list(range(1, len(names))))),
            (self.code.span(ticks.call.args[1]), f"[{', '.join(map(written, left))}]"),
        ]
        touches = [("group", at) for at in range(len(names))] + [("ticks", "x"), *self._all_names(), "kind"]
        text = f"{where.split(' ')[0]} is missing"
        return self.step("remove_group", "data_error", 3, where, text, splices, touches, (5, 0, place))

    def _all_names(self) -> list[tuple]:
        """What `rename_point` touches."""
        return [("point", 0, place) for place in range(len(self.names(self.code.plots[0])))]

    def cell(self, plot: Plot) -> Step | None:
        """A cell of a heat map in the colour of another value."""
        limits = [plot.keywords.get(name) for name in ("vmin", "vmax")]
        if plot.name != "imshow" or not plot.rows or None in limits:
            return None
        low, high = (ast.literal_eval(limit.value) for limit in limits)
        row = int(self.rng.integers(len(plot.rows)))
        column = int(self.rng.integers(len(plot.rows[row].elts)))
        old = constants(plot.rows[row])[column]
        new = round(old + pick(self.rng, (0.25, 0.4, 0.7)) * pick(self.rng, (1, -1)) * (high - low))
        if not low <= new <= high:
            return None
        words = []
        for axis, noun, place in (("y", "row", row), ("x", "column", column)):
            names = self.names(plot, axis)
            words.append(f"{noun} {place + 1}" + (f" ({shown(names[place])})" if place < len(names) else ""))
        share = abs(new - old) / (high - low)
        severity = 1 if share < 0.3 else 2 if share < 0.6 else 3
        text = f"value is {written(new)}, should be {written(old)}"
        splices = [(self.code.span(plot.rows[row].elts[column]), written(new))]
        touches = [("cell", row, column), ("point", 0, column)]
        return self.step("cell", "data_error", severity, ", ".join(words), text, splices, touches, (5, row, column))

    def colour_map(self, plot: Plot) -> Step | None:
        """Other colours for the values of a heat map or contour plot."""
        now = self._style(plot, "cmap", "")
        if plot.name not in _IMAGES or not now or not plot.rows:
            return None
        new = other(self.rng, _MAPS, now)
        text, splices = f"colour map is {new}, should be {now}", self._keyword_step(plot, "cmap", new)
        return self.step("colour_map", "style_error", 2, "plot area", text, splices, ["colours"], (6,))

    def colour_bar(self) -> Step | None:
        """A missing scale of the colours."""
        known = self.code.setters.get("colorbar")
        if known is None or self.code.plots[0].name not in _IMAGES:
            return None
        splices = [(self.code.line_span(known.statement), "")]
        return self.step("colour_bar", "text_error", 2, "colour bar", "colour bar is missing", splices, ["bar"], (4,))

    def levels(self, plot: Plot) -> Step | None:
        """Far more or fewer lines between heights."""
        known = plot.keywords.get("levels")
        now = getattr(known.value, "value", None) if known is not None else None
        if plot.name not in ("contour", "contourf") or not isinstance(now, int) or not 4 <= now <= 8:
            return None
        new = pick(self.rng, (2, 3 * now))
        text = f"there are {'fewer' if new < now else 'more'} levels than there should be"
        splices = [(self.code.span(known.value), str(new))]
        return self.step("levels", "data_error", 2, "plot area", text, splices, ["kind", "levels"], (5,))

    def no_errors(self, plot: Plot) -> Step | None:
        """Points without their error bars."""
        if plot.name != "errorbar" or plot.listed("yerr") is None:
            return None
        splices, points = self._without(plot, "yerr"), self.all_points()
        text = "error bars are missing"
        return self.step("no_errors", "data_error", 2, self.series_words(plot), text, splices, ["kind", *points], (0,))

    def error_size(self, plot: Plot) -> Step | None:
        """One error bar that is far too long or too short."""
        errors = plot.listed("yerr")
        if plot.name != "errorbar" or errors is None or len(errors.elts) != len(plot.values):
            return None
        place = int(self.rng.integers(len(errors.elts)))
        old, value = constants(errors)[place], plot.values[place]
        new = float(f"{old * pick(self.rng, (0.3, 2, 3)):.2g}")
        if new == old or not self.code.inside([value - new, value + new]):
            return None
        text = f"error bar is {written(new)} long each way, should be {written(old)}"
        splices = [(self.code.span(errors.elts[place]), written(new))]
        touches = [("point", self.plot_number(plot), place)]
        where = self._point(plot, place)
        return self.step("error_size", "data_error", 2, where, text, splices, touches, (5, 0, place))

    def bubble_size(self, plot: Plot) -> Step | None:
        """One bubble far larger or smaller."""
        sizes = plot.listed("s")
        if plot.name != "scatter" or sizes is None or len(sizes.elts) != len(plot.values):
            return None
        place = int(self.rng.integers(len(sizes.elts)))
        old = constants(sizes)[place]
        new = round(old * 4 if old < 200 else old / 4)
        text = f"bubble is {'larger' if new > old else 'smaller'} than it should be"
        splices = [(self.code.span(sizes.elts[place]), str(new))]
        touches = [("point", self.plot_number(plot), place)]
        where = self._point(plot, place)
        return self.step("bubble_size", "data_error", 2, where, text, splices, touches, (5, 0, place))

    def view(self) -> Step | None:
        """A chart in space, seen from another side."""
        if self.code.projection != "3d" or len(self.code.views) > 1:
            return None
        turn = pick(self.rng, (60, 90, 120))
        splices = [self.code.before_saving(f"{self.code.axes_object}.view_init(azim={turn - 60})")]
        text = f"seen from another side, turned by {turn} degrees"
        return self.step("view", "style_error", 2, "plot area", text, splices, ["view"], (7,))

    def linear(self) -> Step | None:
        """A linear axis where a logarithmic one should be."""
        known = self.code.setters.get("yscale")
        if known is None or known.text() != "log":
            return None
        splices = [(self.code.line_span(known.statement), "")]
        text = "y-axis is linear, should be logarithmic"
        return self.step("log", "data_error", 2, "y-axis", text, splices, ["axis", *self.all_points()], (7,))
