"""Real data as short matplotlib programs: more than twenty kinds of charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxerm.data.program import Program
from jaxerm.data.sources.chart_kinds import LEGENDS, OF_COLUMNS, SPREAD, Columns, Drawn, contour, literal, spread
from jaxerm.data.sources.datasets import Dataset, csv_datasets, datasets, written

KINDS = (
    "bar", "barh", "line", "scatter", "pie", "hist", "grouped", *OF_COLUMNS, *SPREAD, "contour", "panels", "panels3",
    "panels4",
)  # fmt: skip
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
MAX_LABEL = 12
_NOUNS = {
    "bar": "bar chart", "barh": "horizontal bar chart", "line": "line chart", "scatter": "scatter chart",
    "pie": "pie chart", "hist": "histogram", "grouped": "grouped bar chart", "panels": "figure with two charts",
    "panels3": "figure with three charts", "panels4": "figure with four charts", "stacked": "stacked bar chart",
    "area": "area chart", "step": "step chart", "bubble": "bubble chart", "donut": "donut chart",
    "polar": "polar bar chart", "radar": "radar chart", "3d": "3-D scatter chart", "twin": "chart with two y-axes",
    "log": "chart with a logarithmic axis", "annotated": "chart with an annotation", "heatmap": "heat map",
    "box": "box plot", "violin": "violin plot", "errorbar": "chart with error bars", "contour": "contour plot",
}  # fmt: skip
_PANELS = {
    "panels": ("1, 2, figsize=(8, 4)", "2, 1, figsize=(5, 6)"), "panels3": ("1, 3, figsize=(11, 4)",),
    "panels4": ("2, 2, figsize=(8, 6.5)",),
}  # fmt: skip
_NO_BARS = {"longitude", "latitude", "year"}
"""Longitudes and years make no bars."""
_FROM_ZERO = ("bar", "barh", "pie", "grouped", "stacked", "donut", "polar", "radar", "area", "bubble", "log", "heatmap")
"""Kinds whose values are lengths or areas."""


_MAX_NAME = 30
_TRIES = 200
"""Draws of rows for one chart before its kind is given up."""


def _drawable(data: Dataset) -> Dataset:
    """The columns whose names can stand in a title."""
    plain = {name: values for name, values in data.columns.items() if _is_plain(name) and len(name) <= _MAX_NAME}
    return Dataset(data.name if _is_plain(data.name) else "data", plain)


def _is_plain(text: str) -> bool:
    return text.isprintable() and not set(text) & set('"\\$')


def _generator(seed: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, index]))


def _numbers(data: Dataset, name: str, places) -> list[float]:
    return [float(written(data.columns[name][place])) for place in places]


class Charts:
    """`n` charts of real data, each one program.

    Args:
      path: a folder of .csv files; the data sets of vega_datasets if None.
      n: charts there are.
      seed: of all of them; chart i is the same on every machine.
      max_points: bars, points or slices of one series, 3 to this many (a histogram counts three times as many values).
      kinds: any of `KINDS`.

    Raises:
      ValueError: an option out of range, vega_datasets missing, no file that can be read, or none of which a chart of
        one of the kinds can be drawn.
    """

    task = "chart"

    def __init__(
        self,
        n: int = 10_000,
        seed: int = 0,
        max_points: int = 5,
        kinds: Sequence[str] = KINDS,
        path: str | Path | None = None,
    ):
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if not kinds or set(kinds) - set(KINDS):
            raise ValueError(f"kinds is {list(kinds)}; there are {', '.join(KINDS)}")
        if max_points < 3:
            raise ValueError(f"max_points is {max_points}; it must be at least 3")
        self._data = datasets() if path is None else [_drawable(data) for data in csv_datasets(path)]
        self._name = "chart" if path is None else "csv-chart"
        self._n, self._seed, self._max_points, self._kinds = n, seed, max_points, kinds
        if path is not None:
            self._kinds = tuple(kind for kind in kinds if self._draw(kind, _generator(seed, 0), _TRIES // 4))
            if not self._kinds:
                raise ValueError(f"no chart of kind {', '.join(kinds)} can be drawn of the .csv files in {path}")

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < self._n:
            raise IndexError(f"chart {index}; there are {self._n}")
        rng = _generator(self._seed, index)
        drawn = None
        while drawn is None:
            # With few data sets a kind may need many draws of rows that suit it; another one is sooner found.
            drawn = self._draw(self._kinds[rng.integers(len(self._kinds))], rng, _TRIES)
        code, description = drawn
        return Program("chart", code, f"{self._name}-{self._seed}-{index}", description)

    def _draw(self, kind: str, rng: np.random.Generator, tries: int) -> tuple[str, str] | None:
        """A chart of a kind; None if none of the rows drawn so many times suited it."""
        make = self._panels if kind in _PANELS else self._chart
        drawn = (make(kind, self._data[rng.integers(len(self._data))], rng) for _ in range(tries))
        return next((found for found in drawn if found is not None), None)

    def _chart(self, kind: str, data: Dataset, rng: np.random.Generator) -> tuple[str, str] | None:
        """The program and its words; None if the rows drawn do not suit the kind."""
        count = int(rng.integers(3, self._max_points + 1)) * (3 if kind == "hist" else 1)
        stride = int(rng.integers(1, 4))
        last = len(data) - stride * (count - 1)
        if last < 1:
            return None
        places = int(rng.integers(last)) + stride * np.arange(count)
        numeric = [name for name in data.numeric if name not in _NO_BARS and self._suits(kind, data, name, places)]
        named = [name for name in data.columns if name == "year" or name not in data.numeric]
        labels = [name for name in named if self._labels(data, name, places)]
        needed = OF_COLUMNS[kind][1] if kind in OF_COLUMNS else 2 if kind in ("scatter", "grouped") else 1
        colours = [COLOURS[place] for place in rng.choice(len(COLOURS), size=2, replace=False)]
        if kind in SPREAD or kind == "contour":
            made = contour(data, rng) if kind == "contour" else spread(kind, data, colours, rng)
            return None if made is None else self._program(kind, made, rng)
        if len(numeric) < needed or (kind not in ("scatter", "hist") and not labels):
            return None
        names = [numeric[place] for place in rng.choice(len(numeric), size=needed, replace=False)]
        values = [_numbers(data, name, places) for name in names]
        label = labels[rng.integers(len(labels))] if labels else ""
        cells = [data.columns[label][place] for place in places] if label else []
        if kind in ("grouped", "stacked", "radar") and not 0.2 < max(values[0]) / max(values[1]) < 5:
            return None
        if kind == "log" and max(values[0]) < 5 * min(values[0]):
            return None
        if kind in OF_COLUMNS:
            made = OF_COLUMNS[kind][0](Columns(names, values, label, cells, colours, rng))
        elif kind == "grouped":
            lines = self._grouped(names, values, cells, colours)
            title = f"{data.name}: {' and '.join(names)}"
            made = Drawn(lines, title, (label, ""), "bars", count * needed, True)
        elif kind == "hist":
            bins = int(rng.integers(3, 7))
            lines = [f'ax.hist({literal(values[0])}, bins={bins}, color="{colours[0]}")']
            made = Drawn(lines, f"{data.name}: {names[0]}", (names[0], "count"), "values", count)
        elif kind == "scatter":
            lines = [f'ax.scatter({literal(values[0])}, {literal(values[1])}, color="{colours[0]}")']
            made = Drawn(lines, f"{names[1]} by {names[0]}", (names[0], names[1]), "points", count)
        else:
            cells = cells if kind == "line" else [str(cell) for cell in cells]
            lines = self._single(kind, names[0], values[0], cells, colours[0], rng)
            axes = (names[0], label) if kind == "barh" else (label, names[0])
            noun = {"pie": "slices", "line": "points"}.get(kind, "bars")
            made = Drawn(lines, f"{names[0]} by {label}", axes, noun, count)
        return self._program(kind, made, rng)

    @staticmethod
    def _program(kind: str, made: Drawn, rng: np.random.Generator) -> tuple[str, str]:
        # Names beside horizontal bars push the axis label out of the picture unless the layout makes room.
        figure = 'layout="tight"' if kind == "barh" else made.figure
        lines = ["import matplotlib.pyplot as plt", f"fig, ax = plt.subplots({figure})", *made.lines]
        lines.append(f'ax.set_title("{made.title}")')
        if kind != "pie":
            lines += [f'ax.set_{way}label("{text}")' for way, text in zip("xy", made.axes, strict=True) if text]
            lines += made.after
            if made.legend or (kind in ("line", "area", "step", "errorbar") and rng.random() < 0.5):
                # In a place of its own: one that matplotlib looks for moves with the data.
                lines.append(f'ax.legend(loc="{LEGENDS[rng.integers(4)]}")')
            plain = kind in ("bar", "barh", "line", "scatter", "area", "step", "bubble", "box", "errorbar", "log")
            lines += ["ax.grid(True)"] if plain and rng.random() < 0.3 else []
        lines.append('plt.savefig("chart.png")')
        article = "an" if kind == "area" else "a"
        return "\n".join(lines), f"{article} {_NOUNS[kind]} titled {made.title} with {made.count} {made.noun}"

    def _panels(self, kind: str, data: Dataset, rng: np.random.Generator) -> tuple[str, str] | None:
        """Charts side by side, one above the other, or both: the lines of several programs on one figure."""
        grid = _PANELS[kind][rng.integers(len(_PANELS[kind]))]
        names = ["ax", "bx", "cx", "dx"][: {"panels": 2, "panels3": 3, "panels4": 4}[kind]]
        parts: list[list[str]] = []
        for _ in names:
            made = self._chart(("bar", "line", "scatter")[rng.integers(3)], data, rng)
            if made is None:
                return None
            parts.append([line for line in made[0].splitlines() if line.startswith("ax.")])
        if any(part in parts[:place] for place, part in enumerate(parts)):
            return None
        target = f"({', '.join(names)})" if len(names) < 4 else "((ax, bx), (cx, dx))"
        head = ["import matplotlib.pyplot as plt", f'fig, {target} = plt.subplots({grid}, layout="constrained")']
        lines = [name + line[2:] for name, part in zip(names, parts, strict=True) for line in part]
        return "\n".join([*head, *lines, 'plt.savefig("chart.png")']), f"a {_NOUNS[kind]} of {data.name}"

    @staticmethod
    def _suits(kind: str, data: Dataset, name: str, places) -> bool:
        values = _numbers(data, name, places)
        if len(set(values)) < 2:
            return False
        if kind in _FROM_ZERO:
            # A bar or slice that cannot be seen cannot be compared.
            return min(values) > 0.02 * max(values) > 0
        return max(map(abs, values)) < 1e7

    @staticmethod
    def _labels(data: Dataset, name: str, places) -> bool:
        cells = [written(data.columns[name][place]) for place in places]
        if not all(map(_is_plain, cells)) or len(set(cells)) < len(cells):
            return False
        return max(map(len, cells)) <= MAX_LABEL and "." not in cells[0]

    @staticmethod
    def _single(kind: str, name: str, values, cells, colour: str, rng: np.random.Generator) -> list[str]:
        if kind == "pie":
            return [f"ax.pie({literal(values)}, labels={literal(cells)})"]
        if kind != "line":
            return [f'ax.{kind}({literal(cells)}, {literal(values)}, color="{colour}")']
        marker = ["", ', marker="o"', ', marker="s"'][rng.integers(3)]
        dash = ["", "", ', linestyle="--"'][rng.integers(3)]
        order = np.argsort(cells, kind="stable") if not isinstance(cells[0], str) else range(len(cells))
        cells, values = [cells[place] for place in order], [values[place] for place in order]
        return [f'ax.plot({literal(cells)}, {literal(values)}{marker}{dash}, color="{colour}", label="{name}")']

    @staticmethod
    def _grouped(names, values, cells, colours) -> list[str]:
        lines = []
        for side, (name, series, colour) in enumerate(zip(names, values, colours, strict=True)):
            places = [round(place - 0.2 + 0.4 * side, 1) for place in range(len(series))]
            lines.append(f'ax.bar({places}, {literal(series)}, 0.4, color="{colour}", label="{name}")')
        ticks = literal([str(cell) for cell in cells])
        return [*lines, f"ax.set_xticks({list(range(len(cells)))}, {ticks})"]
