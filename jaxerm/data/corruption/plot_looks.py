"""Further edits of one pair of axes: scale, ticks, frame, size and place of words, lines, bars, further series."""

from __future__ import annotations

import ast

from jaxerm.data.corruption.common import Step, contrast, misspelt, pick
from jaxerm.data.corruption.plot_code import Plot
from jaxerm.data.corruption.plot_edits import OTHER_KINDS, written

_EXTRA = ("tab:pink", "tab:olive", "tab:cyan")
_LONG = 40
_FACES = {"lightgray": "light gray", "lightyellow": "light yellow", "lavender": "lavender"}


class LookEdits:
    """Edits that `corrupt_chart` mixes in with its own. Stands on `PlotEditor`."""

    def looks(self) -> list:
        """The kinds."""
        on_plots = (self.line_width, self.bar_width, self.fade, self.add_series, self.swap_values, self.legend_entry)
        makers = [lambda make=make: make(pick(self.rng, self.code.plots)) for make in on_plots]
        on_axes = [self.log, self.invert, self.no_ticks, self.turn_ticks, self.face, self.frame]
        return [*makers, *on_axes, self.title_size, self.title_place]

    @property
    def _plain(self) -> bool:
        """Whether the axes have a frame and a scale, unlike those of a pie or polar ones."""
        return not self.code.projection and all(plot.name != "pie" for plot in self.code.plots)

    @property
    def _bare(self) -> bool:
        """Whether there is a background to see, and one pair of axes to see it of."""
        covered = any(plot.name in ("imshow", "contour", "contourf") for plot in self.code.plots)
        return self._plain and not covered and not self.code.twins

    def _line(self, text: str) -> list:
        return [self.code.before_saving(f"{self.code.axes_object}.{text}")]

    def _value_axis(self) -> str | None:
        """x or y: the axis of the values; None where they are not written out, or the code sets limits of its own."""
        known = all(plot.second is not None and plot.name in OTHER_KINDS for plot in self.code.plots) and self._plain
        axis = "x" if self.code.plots[0].name == "barh" else "y"
        return axis if known and f"{axis}lim" not in self.code.setters else None

    def log(self) -> Step | None:
        """A logarithmic axis."""
        axis = self._value_axis()
        values = [value for plot in self.code.plots for value in plot.values]
        if axis is None or min(values) <= 0 or max(values) < 2 * min(values) or "yscale" in self.code.setters:
            return None
        if any(plot.name == "fill_between" or plot.base for plot in self.code.plots):
            return None
        text = f"{axis}-axis is logarithmic, should be linear"
        touches = ["axis", "series", *self.all_points()]
        splices = self._line(f'set_{axis}scale("log")')
        return self.step("log", "data_error", 2, f"{axis}-axis", text, splices, touches, (7,))

    def invert(self) -> Step | None:
        """An axis that runs the other way."""
        axis = self._value_axis()
        if axis is None:
            return None
        way = "from right to left" if axis == "x" else "downwards"
        splices = self._line(f"invert_{axis}axis()")
        text = f"{axis}-axis runs {way}"
        return self.step("invert", "data_error", 2, f"{axis}-axis", text, splices, ["axis"], (7,))

    def no_ticks(self) -> Step | None:
        """No labels at the ticks of an axis."""
        if not self._plain or self.code.twins:
            return None
        axis = pick(self.rng, "xy")
        side = "labelbottom" if axis == "x" else "labelleft"
        splices = self._line(f'tick_params(axis="{axis}", {side}=False)')
        # What a point is called, and a scale, can no longer be read.
        touches = [("ticks", axis), "axis", *self.all_points()]
        text = "tick labels are missing"
        return self.step("no_ticks", "text_error", 2, f"{axis}-axis", text, splices, touches, (7,))

    def turn_ticks(self) -> Step | None:
        """Tick labels on their side, where they are short enough not to push the axis label out of the picture."""
        labels = [label for plot in self.code.plots for label in plot.labels]
        fitted = self.code.subplots is not None and "layout=" in ast.unparse(self.code.subplots)
        longest = 4 if fitted or "x" not in self.code.setters else 2
        if not self._plain or not labels or max(map(len, labels)) > longest or self.code.plots[0].name == "barh":
            return None
        if self.code.twins:
            return None
        if "xticks" in self.code.setters:
            return None
        splices = self._line('tick_params(axis="x", labelrotation=90)')
        text = "tick labels are turned by 90 degrees"
        return self.step("turn_ticks", "text_error", 1, "x-axis", text, splices, [("ticks", "x"), "kind"], (7,))

    def face(self) -> Step | None:
        """A coloured background."""
        if not self._bare:
            return None
        colour = pick(self.rng, list(_FACES))
        splices = self._line(f'set_facecolor("{colour}")')
        text = f"background is {_FACES[colour]}, should be white"
        return self.step("face", "style_error", 1, "plot area", text, splices, ["face"], (8,))

    def frame(self) -> Step | None:
        """A frame that is open at the top and on the right."""
        if not self._bare:
            return None
        splices = self._line('spines[["top", "right"]].set_visible(False)')
        text = "frame is open at the top and on the right"
        return self.step("frame", "style_error", 1, "plot area", text, splices, ["frame"], (8,))

    def title_size(self) -> Step | None:
        """A title in smaller letters."""
        return self._title("title_size", "fontsize", 8, "title is smaller than it should be")

    def title_place(self) -> Step | None:
        """A title at the left."""
        return self._title("title_place", "loc", "left", "title is at the left, should be in the middle")

    def _title(self, kind: str, keyword: str, value: str | float, text: str) -> Step | None:
        setter = self.code.setters.get("title")
        if setter is None or not setter.text() or setter.keywords:
            return None
        if kind == "title_place" and len(setter.text()) > _LONG:
            return None  # it would reach out of the picture
        end = self.code.span(setter.call.args[-1])[1]
        splices = [((end, end), f", {keyword}={written(value)}")]
        return self.step(kind, "text_error", 1, "title", text, splices, ["title"], (1,))

    def line_width(self, plot: Plot) -> Step | None:
        """A line three times as thick."""
        if plot.name not in ("plot", "step") or {"linewidth", "lw"} & set(plot.keywords) or len(plot.call.args) > 2:
            return None
        number = self.plot_number(plot)
        touches = ["style of line", ("style", number)]
        splices = self._keyword_step(plot, "linewidth", 4.5)
        text = "line is thicker than it should be"
        return self.step("line_width", "style_error", 1, self.series_words(plot), text, splices, touches, (6, number))

    def bar_width(self, plot: Plot) -> Step | None:
        """Bars half as wide."""
        keyword = {"bar": "width", "barh": "height"}.get(plot.name)
        if keyword is None or keyword in plot.keywords or len(plot.call.args) != 2 or not self.single:
            return None
        splices = self._keyword_step(plot, keyword, 0.35)
        text = f"bars are {'narrower' if keyword == 'width' else 'thinner'} than they should be"
        where = self.series_words(plot)
        return self.step("bar_width", "data_error", 1, where, text, splices, ["kind", "width"], (6, 0))

    def fade(self, plot: Plot) -> Step | None:
        """Pale colours."""
        plain = plot.name in ("bar", "barh", "plot", "scatter", "hist", "step", "fill_between")
        if not plain or "alpha" in plot.keywords or self.code.projection == "3d":
            return None  # what is far away in space is pale already
        number = self.plot_number(plot)
        splices = self._keyword_step(plot, "alpha", 0.3)
        text = "colours are faded"
        touches = ["style of line", ("style", number)]
        return self.step("fade", "style_error", 1, self.series_words(plot), text, splices, touches, (6, number))

    def add_series(self, plot: Plot) -> Step | None:
        """A second series, of the same values in another order, so that the axis stays as it is."""
        if not self.single or plot.name not in ("plot", "scatter") or plot.first is None or len(plot.call.args) > 2:
            return None
        if self.code.projection or not self.code.inside(plot.values):
            return None
        values = plot.values[::-1]
        apart = max(abs(one - two) for one, two in zip(values, plot.values, strict=True))
        # A series that lies on the first one would look like the first in another colour.
        if apart <= 0.1 * (max(values) - min(values)) or not self.code.can_tell(apart, 0):
            return None
        first = self.code.code.encode()[slice(*self.code.span(plot.call.args[0]))].decode()
        colour = pick(self.rng, _EXTRA)
        listed = ", ".join(written(value) for value in values)
        line = f'{self.code.axes}.{plot.name}({first}, [{listed}], color="{colour}")'
        text = f"a series in {colour.removeprefix('tab:')} is extra"
        touches = ["series", "kind", "axis", "legend", *self.all_points()]
        splices = [self.code.before_saving(line)]
        return self.step("add_series", "data_error", 2, "plot area", text, splices, touches, (0,))

    def swap_values(self, plot: Plot) -> Step | None:
        """Two points that have each other's values."""
        if not self._has_points(plot) or plot.name == "pie" or len(plot.values) < 2 or self.code.projection == "3d":
            return None
        one, two = sorted(int(place) for place in self.rng.choice(len(plot.values), size=2, replace=False))
        values = plot.values
        extent = max(values) - min(values)
        if abs(values[one] - values[two]) < 0.1 * extent or not self.code.can_tell(values[one], values[two]):
            return None
        if extent == 0:
            return None
        nodes = plot.second.elts
        splices = [
            (self.code.span(nodes[one]), written(values[two])),
            (self.code.span(nodes[two]), written(values[one])),
        ]
        number = self.plot_number(plot)
        touches = [("point", number, one), ("point", number, two), "removed point"]
        text = f"its value is that of {self._point(plot, two).split(' of series')[0]}, and the other way round"
        where = self._point(plot, one)
        return self.step("swap_values", "data_error", 2, where, text, splices, touches, (5, number, one))

    def legend_entry(self, plot: Plot) -> Step | None:
        """A name in the legend that is misspelt."""
        label = plot.keywords.get("label")
        old = getattr(getattr(label, "value", None), "value", None)
        if "legend" not in self.code.setters or not isinstance(old, str) or old.startswith("_"):
            return None
        new = misspelt(self.rng, old)
        if not new:
            return None
        number = self.plot_number(plot)
        text = "entry is {}, should be {}".format(*contrast(new, old))
        splices = [(self.code.span(label.value), written(new))]
        touches = ["legend", ("name", number), "series"]
        return self.step("legend_entry", "text_error", 2, "legend", text, splices, touches, (4, number))
