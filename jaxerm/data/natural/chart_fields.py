"""What differs between two heat maps, contour plots, box plots or violin plots: cells, levels, colours, boxes."""

from __future__ import annotations

from typing import Any

from jaxerm.data.corruption.common import contrast, shown
from jaxerm.data.corruption.plot_edits import written
from jaxerm.data.program import Edit

FIELDS = ("image", "contour", "contourf", "boxes", "violins")
"""Kinds of series that `FieldPair` compares."""
Axes = dict[str, Any]
Series = dict[str, Any]


def _named(axes: Axes, axis: str) -> list[str]:
    """The texts at the ticks of an axis, where they name things."""
    return [text for _, text in axes[f"{axis}ticks"]]


def _place(noun: str, place: int, names: list[str]) -> str:
    return f"{noun} {place + 1}" + (f" ({shown(names[place])})" if place < len(names) else "")


class FieldPair:
    """Series `was` of the reference's axes `old`, and `now` of the attempt's axes `new`."""

    def __init__(self, old: Axes, new: Axes, was: Series, now: Series):
        self.old, self.new, self.was, self.now = old, new, was, now

    def entries(self) -> list[Edit]:
        """All that differs."""
        if self.was["kind"] in ("boxes", "violins"):
            return self._boxes()
        found = []
        if self.was["map"] != self.now["map"]:
            text = f"colour map is {self.now['map']}, should be {self.was['map']}"
            found.append(Edit("colour_map", "style_error", 2, "plot area", text))
        if self.was["kind"] != "image":
            levels = self.now["levels"] - self.was["levels"]
            if levels:
                text = f"there are {'fewer' if levels < 0 else 'more'} levels than there should be"
                found.append(Edit("levels", "data_error", 2, "plot area", text))
            return found
        return found + self._cells()

    def _cells(self) -> list[Edit]:
        was, now = self.was, self.now
        if was["shape"] != now["shape"]:
            text = "{} rows and {} columns, should be {} and {}".format(*now["shape"], *was["shape"])
            return [Edit("cells", "structure_error", 3, "plot area", text)]
        found = []
        width = was["shape"][1]
        low, high = was["range"]
        for at, (a, b) in enumerate(zip(was["values"], now["values"], strict=False)):
            if a == b:
                continue
            where = _place("row", at // width, _named(self.old, "y"))
            where += ", " + _place("column", at % width, _named(self.old, "x"))
            share = abs(b - a) / ((high - low) or 1)
            severity = 1 if share < 0.3 else 2 if share < 0.6 else 3
            text = f"value is {written(b)}, should be {written(a)}"
            found.append(Edit("cell", "data_error", severity, where, text))
        return found + self._labels("column", range(width))

    def _labels(self, noun: str, places: range) -> list[Edit]:
        was, now = _named(self.old, "x"), _named(self.new, "x")
        if len(was) != len(now) or len(was) != len(places):
            return []
        return [
            Edit("label", "text_error", 2, f"{noun} {place + 1}",
                 "label is {}, should be {}".format(*contrast(b, a)))
            for place, (a, b) in enumerate(zip(was, now, strict=True)) if a != b
        ]  # fmt: skip

    def _boxes(self) -> list[Edit]:
        was, now = self.was["rows"], self.now["rows"]
        noun = {"boxes": "box", "violins": "violin"}[self.was["kind"]]
        names, theirs = _named(self.old, "x"), _named(self.new, "x")
        pairs = list(zip(range(len(was)), range(len(now)), strict=False))
        found = []
        if len(now) < len(was):
            kept = [place for place, name in enumerate(names) if name in theirs]
            pairs = [(place, theirs.index(names[place])) for place in kept]
            for place in sorted(set(range(len(was))) - set(kept)):
                where = _place(noun, place, names)
                found.append(Edit("remove_group", "data_error", 3, where, f"{noun} is missing"))
        elif len(now) > len(was):
            text = f"{len(now)} of them, should be {len(was)}"
            found.append(Edit("add_group", "data_error", 2, "plot area", text))
        whole = [end for row in was for end in row[:2]]
        extent = (max(whole) - min(whole)) or 1
        for one, two in pairs:
            (low, high, middle), (least, most, median) = was[one], now[two]
            if max(abs(least - low), abs(most - high)) < 1e-6 * extent:
                continue
            share = abs(median - middle) / extent
            severity = 1 if share < 0.2 else 2 if share < 0.4 else 3
            text = f"values run from {least:g} to {most:g}, should run from {low:g} to {high:g}"
            found.append(Edit("group", "data_error", severity, _place(noun, one, names), text))
        return found + (self._labels(noun, range(len(was))) if len(now) == len(was) else [])
