"""What differs between two series of a chart: points, values, names along the axis, colours, lines, bars, slices."""

from __future__ import annotations

from math import isclose
from typing import Any

from jaxerm.data.corruption.common import contrast, shown
from jaxerm.data.corruption.plot_edits import written
from jaxerm.data.natural.chart_fields import FIELDS, FieldPair
from jaxerm.data.natural.chart_words import POINTS, colour_words, kind_words, series_words
from jaxerm.data.program import Edit

_MARKERS = {"o": "circles", "s": "squares", "^": "triangles", "x": "crosses"}
_DASHES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dash-dotted"}
_NO_MARKER = ("None", "none", " ", "")


class SeriesPair:
    """Series `one` of the reference's axes and series `two` of the attempt's."""

    def __init__(self, old: dict[str, Any], new: dict[str, Any], one: int, two: int):
        self.axes, self.theirs = old, new
        self.old, self.new = _opened(old["series"][one], old), _opened(new["series"][two], new)
        self.first = one == 0
        self.where = series_words(old, one)
        self.of = "" if len(old["series"]) == 1 else f" of {self.where}"

    def entries(self) -> list[Edit]:
        """All that differs."""
        kind = self.old["kind"]
        if kind != self.new["kind"]:
            text = f"{kind_words(self.new, self.theirs['shape'])}, should be {kind_words(self.old, self.axes['shape'])}"
            return [Edit("kind", "structure_error", 3, self.where, text)]
        if kind == "wedges":
            return self._slices()
        if kind == "hist":
            return [*self._bins(), *self._style()]
        if kind in FIELDS:
            return FieldPair(self.axes, self.theirs, self.old, self.new).entries()
        return [*self._points(), *self._style()]

    def _names(self, axes: dict[str, Any], series: dict[str, Any]) -> list[str]:
        """What the points are called along the axis: the text of the tick they stand at, or their place."""
        ticks = axes["yticks" if series.get("across") else "xticks"]
        # Bars side by side stand around their tick.
        reach = 0.45 if series["kind"] == "bars" else 0.01 if axes["shape"] == "polar" else 1e-6
        found = []
        for place in series["x"]:
            text = next((text for at, text in ticks if abs(at - place) <= reach), None)
            plain = series["kind"] not in ("bars", "wedges") and not _category(ticks) and axes["shape"] != "polar"
            found.append(f"{place:g}" if plain or text is None else text)
        return found

    def _point(self, place: int, names: list[str]) -> str:
        name = f" ({shown(names[place])})" if place < len(names) else ""
        return f"{POINTS[self.old['kind']]} {place + 1}{name}{self.of}"

    def _points(self) -> list[Edit]:
        old, new = self.old, self.new
        names = self._names(self.axes, old)
        theirs = self._names(self.theirs, new)
        if len(new["y"]) < len(old["y"]):
            return self._missing(names, theirs)
        if len(new["y"]) > len(old["y"]):
            text = f"{len(new['y'])} {POINTS[old['kind']]}s, should be {len(old['y'])}"
            return [Edit("add_point", "data_error", 2, self.where, text)]
        found = self._values(names, list(range(len(old["y"]))), new["y"])
        if self.first and names != theirs and self._labelled():
            for place, (was, now) in enumerate(zip(names, theirs, strict=True)):
                if was != now:
                    text = "label is {}, should be {}".format(*contrast(now, was))
                    noun = f"{POINTS[old['kind']]}{'' if len(self.axes['series']) == 1 else 's'}"
                    found.append(Edit("label", "text_error", 2, f"{noun} {place + 1}", text))
        elif not self._labelled() and old["x"] != new["x"]:
            places = [place for place, (a, b) in enumerate(zip(old["x"], new["x"], strict=True)) if a != b]
            for place in places:
                text = f"is at {new['x'][place]:g}, should be at {old['x'][place]:g}"
                found.append(Edit("place", "data_error", 2, self._point(place, names), text))
        return found + self._sizes(names)

    def _labelled(self) -> bool:
        """Whether the points stand at names, and both axes show them."""
        key = "yticks" if self.old.get("across") else "xticks"
        bars = self.old["kind"] == "bars" or self.axes["shape"] == "polar"
        return all(axes[key] and (bars or _category(axes[key])) for axes in (self.axes, self.theirs))

    def _missing(self, names: list[str], theirs: list[str]) -> list[Edit]:
        """Points that are not there any more, found by their names and values; then the values of the others."""
        left = list(zip(theirs, self.new["y"], strict=True))
        kept, gone = [], []
        for place, entry in enumerate(zip(names, self.old["y"], strict=True)):
            same_name = next((known for known in left if known[0] == entry[0]), None)
            match = entry if entry in left else same_name
            if match is None:
                gone.append(place)
            else:
                kept.append((place, match[1]))
                left.remove(match)
        text = f"{POINTS[self.old['kind']]} is missing"
        found = [Edit("remove_point", "data_error", 3, self._point(place, names), text) for place in gone]
        return found + self._values(names, [place for place, _ in kept], [value for _, value in kept])

    def _values(self, names: list[str], places: list[int], values: list[float]) -> list[Edit]:
        olds = [value for value in self.old["y"] if value is not None]
        low, high = min(olds, default=0), max(olds, default=0)
        if self.old["kind"] in ("bars", "area") or self.axes["shape"] == "polar":
            low = min(low, 0)
        extent = (high - low) or abs(high) or 1
        wrong = [(place, self.old["y"][place], new) for place, new in zip(places, values, strict=True)
                 if new is not None and self.old["y"][place] is not None
                 and abs(new - self.old["y"][place]) > 1e-6 * max(1, abs(new))]  # fmt: skip
        if len(wrong) == 2 and wrong[0][1] == wrong[1][2] and wrong[0][2] == wrong[1][1]:
            other = self._point(wrong[1][0], names).split(" of series")[0]
            text = f"its value is that of {other}, and the other way round"
            return [Edit("swap_values", "data_error", 2, self._point(wrong[0][0], names), text)]
        found = []
        for place, was, now in wrong:
            change = abs(now - was) / extent
            severity = 1 if change < 0.2 else 2 if change < 0.4 else 3
            text = f"value is {_short(now)}, should be {_short(was)}"
            found.append(Edit("value", "data_error", severity, self._point(place, names), text))
        return found

    def _slices(self) -> list[Edit]:
        old, new = self.old, self.new
        found = []
        if old["ring"] != new["ring"]:
            text = f"{kind_words(new)}, should be {kind_words(old)}"
            found.append(Edit("kind", "structure_error", 3, "plot area", text))
        if abs(old["start"] - new["start"]) > 0.5:
            text = f"first slice starts at {new['start']:g} degrees, should start at {old['start']:g}"
            found.append(Edit("start_angle", "style_error", 1, "plot area", text))
        if len(new["shares"]) < len(old["shares"]):
            gone = [place for place, name in enumerate(old["labels"]) if name not in new["labels"]]
            return found + [
                Edit("remove_point", "data_error", 3, self._point(place, old["labels"]), "slice is missing")
                for place in gone
            ]
        if len(new["shares"]) > len(old["shares"]):
            text = f"{len(new['shares'])} slices, should be {len(old['shares'])}"
            return [*found, Edit("add_point", "data_error", 2, "plot area", text)]
        for place in self._changed_slices():
            was, now = old["shares"][place], new["shares"][place]
            change = abs(now - was) * 2
            severity = 1 if change < 0.2 else 2 if change < 0.4 else 3
            text = f"share is {now:.0%}, should be {was:.0%}"
            found.append(Edit("value", "data_error", severity, self._point(place, old["labels"]), text))
        for place, (was, now) in enumerate(zip(old["labels"], new["labels"], strict=False)):
            if was != now:
                text = "label is {}, should be {}".format(*contrast(now, was))
                found.append(Edit("label", "text_error", 2, f"slice {place + 1}", text))
        return found

    def _changed_slices(self) -> list[int]:
        """The one slice whose change explains that of all shares; else all that differ by a hundredth."""
        old, new = self.old["shares"], self.new["shares"]
        if all(abs(a - b) < 1e-4 for a, b in zip(old, new, strict=True)):
            return []
        for place in range(len(old)):
            rest = [b / a for at, (a, b) in enumerate(zip(old, new, strict=True)) if at != place and a]
            if len(rest) > 1 and max(rest) - min(rest) < 1e-3 * max(rest):
                return [place]
        return [place for place, (a, b) in enumerate(zip(old, new, strict=True)) if abs(a - b) >= 0.01]

    def _bins(self) -> list[Edit]:
        old, new = len(self.old["y"]), len(self.new["y"])
        if old != new:
            severity = 1 if abs(new - old) == 1 else 2
            return [Edit("bins", "data_error", severity, "plot area", f"{new} bins, should be {old}")]
        wrong = [place for place, (a, b) in enumerate(zip(self.old["y"], self.new["y"], strict=True)) if a != b]
        return [
            Edit("value", "data_error", 2, f"bar {place + 1}{self.of}",
                 f"value is {_short(self.new['y'][place])}, should be {_short(self.old['y'][place])}")
            for place in wrong
        ]  # fmt: skip

    def _style(self) -> list[Edit]:
        old, new, where = self.old, self.new, self.where
        found = []

        def add(kind: str, severity: int, text: str, category: str = "style_error") -> None:
            found.append(Edit(kind, category, severity, where, text))

        if old["colour"] != new["colour"]:
            add("colour", 2, f"{colour_words(new['colour'])}, should be {colour_words(old['colour'])}")
        if new["alpha"] < old["alpha"] - 0.1:
            add("fade", 1, "colours are faded")
        elif new["alpha"] > old["alpha"] + 0.1:
            add("fade", 1, "colours are stronger than they should be")
        if old["kind"] == "bars" and abs(new["width"] - old["width"]) > 0.1 * old["width"]:
            small, large = ("thinner", "thicker") if old["across"] else ("narrower", "wider")
            word = small if new["width"] < old["width"] else large
            add("bar_width", 1, f"bars are {word} than they should be", "data_error")
        if old["kind"] in ("line", "steps"):
            found += self._line()
        return found

    def _sizes(self, names: list[str]) -> list[Edit]:
        """Bubbles and error bars."""
        found = []
        for key, tolerance in (("sizes", 0.2), ("errors", 0.01)):
            was, now = self.old.get(key, []), self.new.get(key, [])
            if key == "errors" and was and not now:
                found.append(Edit("no_errors", "data_error", 2, self.where, "error bars are missing"))
            if len(was) != len(now):
                continue
            for place, (a, b) in enumerate(zip(was, now, strict=True)):
                if isclose(a, b, rel_tol=tolerance):
                    continue
                word = "larger" if b > a else "smaller"
                text = f"bubble is {word} than it should be" if key == "sizes" else (
                    f"error bar is {_short(float(f'{b:.4g}'))} long each way, should be {_short(float(f'{a:.4g}'))}"
                )  # fmt: skip
                kind = "bubble_size" if key == "sizes" else "error_size"
                found.append(Edit(kind, "data_error", 2, self._point(place, names), text))
        return found

    def _line(self) -> list[Edit]:
        old, new, where = self.old, self.new, self.where
        found = []
        marks = [None if series["marker"] in _NO_MARKER else series["marker"] for series in (old, new)]
        if marks[0] != marks[1]:
            was, now = ("none" if mark is None else _MARKERS.get(mark, f"'{mark}'") for mark in marks)
            text = f"markers are {'missing' if now == 'none' else now}, should be {was}"
            found.append(Edit("marker", "style_error", 1, where, text))
        if old["dash"] != new["dash"]:
            was, now = (_DASHES.get(series["dash"], series["dash"]) for series in (old, new))
            found.append(Edit("dash", "style_error", 1, where, f"line is {now}, should be {was}"))
        if abs(new["width"] - old["width"]) > 0.4 * old["width"]:
            word = "thicker" if new["width"] > old["width"] else "thinner"
            found.append(Edit("line_width", "style_error", 1, where, f"line is {word} than it should be"))
        return found


def _opened(series: dict[str, Any], axes: dict[str, Any]) -> dict[str, Any]:
    """A line of a radar chart without the way back to its first point."""
    closed = axes["shape"] == "polar" and series["kind"] == "line" and len(series["y"]) > 2
    if not closed or (series["x"][0], series["y"][0]) != (series["x"][-1], series["y"][-1]):
        return series
    return series | {"x": series["x"][:-1], "y": series["y"][:-1]}


def _short(value: float) -> str:
    """A number as the code would have it: whole where it is whole."""
    return written(int(value) if float(value).is_integer() and abs(value) < 1e15 else value)


def _category(ticks: list) -> bool:
    """Whether the ticks of an axis name things: they stand at 0, 1, 2, ... and say something else."""
    return (
        bool(ticks)
        and all(float(place).is_integer() for place, _ in ticks)
        and any(text.replace("\N{MINUS SIGN}", "-") not in (f"{place:g}", f"{place:.1f}") for place, text in ticks)
    )
