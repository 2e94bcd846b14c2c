"""Edits of words that stand in the wrong place or size: legend, title, tick labels, annotations."""

from __future__ import annotations

from jaxerm.data.corruption.common import Step, misspelt, near, other, pick
from jaxerm.data.corruption.plot_edits import written
from jaxerm.data.corruption.plot_scale import steady

_CORNERS = ("upper left", "upper right", "lower right", "lower left")


class WordEdits:
    """Edits that `corrupt_chart` mixes in with its own. Stands on `PlotEditor`."""

    def wordings(self) -> list:
        """The kinds."""
        return [self.legend_place, self.legend_over, self.title_over, self.tick_size, self.annotation, self.annotation]

    def _corner(self) -> str | None:
        """Where the code puts the legend; None if it leaves that to matplotlib."""
        setter = self.code.setters.get("legend")
        known = setter.keywords.get("loc") if setter is not None else None
        place = getattr(known.value, "value", None) if known is not None else None
        return place if place in _CORNERS else None

    def _legend(self, kind: str, severity: int, place: str, text: str) -> Step:
        value = self.code.setters["legend"].keywords["loc"].value
        splices = [(self.code.span(value), written(place))]
        return self.step(kind, "text_error", severity, "legend", text, splices, ["legend"], (4,))

    def legend_place(self) -> Step | None:
        """A legend in another corner."""
        now = self._corner()
        if now is None:
            return None
        new = other(self.rng, _CORNERS, now)
        return self._legend("legend_place", 1, new, f"legend is at the {new}, should be at the {now}")

    def legend_over(self) -> Step | None:
        """A legend in the middle of what is drawn."""
        now = self._corner()
        if now is None:
            return None
        return self._legend("legend_over", 2, "center", f"legend lies over the middle, should be at the {now}")

    def title_over(self) -> Step | None:
        """A title that has slipped into the plot area."""
        setter = self.code.setters.get("title")
        if setter is None or not setter.text() or setter.keywords or not self._plain:
            return None
        end = self.code.span(setter.call.args[-1])[1]
        text = "title lies over the plot area, should be above it"
        return self.step("title_over", "text_error", 2, "title", text, [((end, end), ", y=0.85")], ["title"], (1,))

    def tick_size(self) -> Step | None:
        """Tick labels far too large, where they are as many as before: else there would be other ticks to tell of."""
        if not self._plain or self.code.twins:
            return None
        axis = pick(self.rng, "xy")
        # In one of several subplots they would take room from the others, whose ticks may change with it.
        if not steady(self.code, axis) or self.code.place:
            return None
        line = f'{self.code.axes_object}.tick_params(axis="{axis}", labelsize=15)'
        text = "tick labels are larger than they should be"
        touches = [("ticks", axis), "axis", axis, "counts", *self.all_points()]
        splices = [self.code.before_saving(line)]
        return self.step("tick_size", "text_error", 1, f"{axis}-axis", text, splices, touches, (7,))

    def annotation(self) -> Step | None:
        """An annotation that is missing, has other words, or stands elsewhere."""
        setter = self.code.setters.get("annotation")
        old = setter.text() if setter is not None else None
        if not old:
            return None
        kind, place = pick(self.rng, ("remove", "rewrite", "move")), setter.keywords.get("xytext")
        if kind == "remove":
            splices, severity, text = [(self.code.line_span(setter.statement), "")], 2, "annotation is missing"
        elif kind == "rewrite":
            new = misspelt(self.rng, old)
            if not new:
                return None
            splices, severity = [(self.code.span(setter.call.args[0]), written(new))], 1 if near(new, old) else 2
            text = f'annotation is "{new}", should be "{old}"'
        elif place is not None:
            splices, severity = [(self.code.span(place.value), "(0, -60)")], 1
            text = "annotation is too low"
        else:
            return None
        return self.step(f"{kind}_annotation", "text_error", severity, "annotation", text, splices, ["words"], (4,))
