"""What a reader calls the kinds of charts, their series and colours."""

from __future__ import annotations

from typing import Any

_KINDS = {
    "bars": "bar chart", "line": "line chart", "points": "scatter chart", "wedges": "pie chart", "hist": "histogram",
    "steps": "step chart", "area": "area chart", "errors": "chart with error bars", "image": "heat map",
    "contour": "contour plot of lines", "contourf": "filled contour plot", "boxes": "box plot",
    "violins": "violin plot",
}  # fmt: skip
_SERIES = {
    "bars": "bars", "line": "line", "points": "points", "hist": "bars", "steps": "line", "area": "area",
    "errors": "points",
}  # fmt: skip
POINTS = {
    "bars": "bar", "line": "point", "points": "point", "wedges": "slice", "steps": "point", "area": "point",
    "errors": "point", "boxes": "box", "violins": "violin",
}  # fmt: skip


def kind_words(series: dict[str, Any], shape: str = "rectilinear") -> str:
    """What a chart of such a series on such axes is called."""
    if shape == "polar":
        return {"bars": "polar bar chart", "line": "radar chart"}.get(series["kind"], f"polar {_KINDS[series['kind']]}")
    if series["kind"] == "wedges" and series["ring"]:
        return "donut chart"
    if series["kind"] == "points" and series["sizes"]:
        return "bubble chart"
    return "horizontal bar chart" if series["kind"] == "bars" and series["across"] else _KINDS[series["kind"]]


def tops(series: dict[str, Any]) -> list[float]:
    """How far the values of a series reach, with what they stand on."""
    values = series.get("y", [])
    bases = series.get("base") or [0] * len(values)
    return [value + base for value, base in zip(values, bases, strict=False) if None not in (value, base)]


def series_words(axes: dict[str, Any], place: int) -> str:
    """What a reader calls a series: by its name where there are several."""
    series = axes["series"][place]
    if len(axes["series"]) == 1:
        return _SERIES.get(series["kind"], "plot area")
    label = series["label"]
    return f"series {label if label[:1] not in ('', '_') else place + 1}"


def colour_words(value: str | None) -> str:
    """A colour by its name: matplotlib's own first, then CSS's; else its digits."""
    from matplotlib.colors import CSS4_COLORS, TABLEAU_COLORS

    for names in (TABLEAU_COLORS, CSS4_COLORS):
        for name, code in names.items():
            if value is not None and code.lower() == value:
                return _SPACED.get(name, name.removeprefix("tab:"))
    return value or "another colour"


_SPACED = {"lightgray": "light gray", "lightgrey": "light gray", "lightyellow": "light yellow"}
