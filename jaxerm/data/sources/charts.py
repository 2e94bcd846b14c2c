"""Real data as short matplotlib programs: bars, lines, points, slices, histograms, groups of bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxerm.data.program import Program
from jaxerm.data.sources.datasets import Dataset, Value, datasets, written

KINDS = ("bar", "barh", "line", "scatter", "pie", "hist", "grouped", "panels")
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
MAX_LABEL = 12
_NOUNS = {
    "bar": "bar chart", "barh": "horizontal bar chart", "line": "line chart", "scatter": "scatter chart",
    "pie": "pie chart", "hist": "histogram", "grouped": "grouped bar chart",
    "panels": "figure with two charts",
}  # fmt: skip


def _literal(values: Sequence[Value]) -> str:
    """A list as Python writes it."""
    cells = [f'"{value}"' if isinstance(value, str) else written(value) for value in values]
    return f"[{', '.join(cells)}]"


def _numbers(data: Dataset, name: str, places) -> list[float]:
    return [float(written(data.columns[name][place])) for place in places]


class Charts:
    """`n` charts of the data sets of vega_datasets, each one program.

    Args:
      n: charts there are.
      seed: of all of them; chart i is the same on every machine.
      max_points: bars, points or slices of one series, 3 to this many (a histogram counts three times as many values).
      kinds: any of `KINDS`.

    Raises:
      ValueError: an option out of range, or vega_datasets missing.
    """

    task = "chart"

    def __init__(self, n: int = 10_000, seed: int = 0, max_points: int = 5, kinds: Sequence[str] = KINDS):
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if not kinds or set(kinds) - set(KINDS):
            raise ValueError(f"kinds is {list(kinds)}; there are {', '.join(KINDS)}")
        if max_points < 3:
            raise ValueError(f"max_points is {max_points}; it must be at least 3")
        self._data = datasets()
        self._n, self._seed, self._max_points, self._kinds = n, seed, max_points, kinds

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < self._n:
            raise IndexError(f"chart {index}; there are {self._n}")
        rng = np.random.Generator(np.random.Philox(key=[self._seed, index]))
        kind = self._kinds[rng.integers(len(self._kinds))]
        drawn = None
        make = self._panels if kind == "panels" else self._chart
        while drawn is None:
            drawn = make(kind, self._data[rng.integers(len(self._data))], rng)
        code, description = drawn
        return Program("chart", code, f"chart-{self._seed}-{index}", description)

    def _chart(self, kind: str, data: Dataset, rng: np.random.Generator) -> tuple[str, str] | None:
        """The program and its words; None if the rows drawn do not suit the kind."""
        count = int(rng.integers(3, self._max_points + 1)) * (3 if kind == "hist" else 1)
        stride = int(rng.integers(1, 4))
        last = len(data) - stride * (count - 1)
        if last < 1:
            return None
        places = int(rng.integers(last)) + stride * np.arange(count)
        # Longitudes and years make no bars.
        skipped = {"longitude", "latitude", "year"}
        numeric = [name for name in data.numeric if name not in skipped and self._suits(kind, data, name, places)]
        named = [name for name in data.columns if name == "year" or name not in data.numeric]
        labels = [name for name in named if self._labels(data, name, places)]
        needed = 2 if kind in ("scatter", "grouped") else 1
        if len(numeric) < needed or (kind not in ("scatter", "hist") and not labels):
            return None
        names = [numeric[place] for place in rng.choice(len(numeric), size=needed, replace=False)]
        values = [_numbers(data, name, places) for name in names]
        label = labels[rng.integers(len(labels))] if labels else ""
        cells = [data.columns[label][place] for place in places] if label else []
        colours = [COLOURS[place] for place in rng.choice(len(COLOURS), size=2, replace=False)]
        if kind == "grouped":
            if not 0.2 < max(values[0]) / max(values[1]) < 5:
                return None
            drawn, axes = self._grouped(names, values, cells, colours), (label, "")
            title = f"{data.name}: {' and '.join(names)}"
        elif kind == "hist":
            bins = int(rng.integers(3, 7))
            drawn = [f'ax.hist({_literal(values[0])}, bins={bins}, color="{colours[0]}")']
            title, axes = f"{data.name}: {names[0]}", (names[0], "count")
        elif kind == "scatter":
            drawn = [f'ax.scatter({_literal(values[0])}, {_literal(values[1])}, color="{colours[0]}")']
            title, axes = f"{names[1]} by {names[0]}", (names[0], names[1])
        else:
            cells = cells if kind == "line" else [str(cell) for cell in cells]
            drawn = self._single(kind, names[0], values[0], cells, colours[0], rng)
            title, axes = f"{names[0]} by {label}", (names[0], label) if kind == "barh" else (label, names[0])
        # Names beside horizontal bars push the axis label out of the picture unless the layout makes room.
        layout = 'layout="tight"' if kind == "barh" else ""
        lines = ["import matplotlib.pyplot as plt", f"fig, ax = plt.subplots({layout})", *drawn]
        lines.append(f'ax.set_title("{title}")')
        if kind != "pie":
            lines += [f'ax.set_{way}label("{text}")' for way, text in zip("xy", axes, strict=True) if text]
            legend = kind == "grouped" or (kind == "line" and rng.random() < 0.5)
            lines += ["ax.legend()"] if legend else []
            lines += ["ax.grid(True)"] if kind not in ("grouped", "hist") and rng.random() < 0.3 else []
        lines.append('plt.savefig("chart.png")')
        what = {"pie": "slices", "line": "points", "scatter": "points", "hist": "values"}.get(kind, "bars")
        total = count * needed if kind == "grouped" else count
        return "\n".join(lines), f"a {_NOUNS[kind]} titled {title} with {total} {what}"

    def _panels(self, kind: str, data: Dataset, rng: np.random.Generator) -> tuple[str, str] | None:
        """Two charts side by side, or one above the other: the lines of two programs on one figure."""
        parts = []
        for _ in range(2):
            made = self._chart(("bar", "line", "scatter")[rng.integers(3)], data, rng)
            if made is None:
                return None
            parts.append([line for line in made[0].splitlines() if line.startswith("ax.")])
        if parts[0] == parts[1]:
            return None
        grid = ("1, 2, figsize=(8, 4)", "2, 1, figsize=(5, 6)")[rng.integers(2)]
        head = ["import matplotlib.pyplot as plt", f'fig, (ax, bx) = plt.subplots({grid}, layout="constrained")']
        lines = [*parts[0], *("b" + line[1:] for line in parts[1])]
        return "\n".join([*head, *lines, 'plt.savefig("chart.png")']), f"a {_NOUNS[kind]} of {data.name}"

    @staticmethod
    def _suits(kind: str, data: Dataset, name: str, places) -> bool:
        values = _numbers(data, name, places)
        if len(set(values)) < 2:
            return False
        if kind in ("bar", "barh", "pie", "grouped"):
            # A bar or slice that cannot be seen cannot be compared.
            return min(values) > 0.02 * max(values) > 0
        return max(map(abs, values)) < 1e7

    @staticmethod
    def _labels(data: Dataset, name: str, places) -> bool:
        cells = [written(data.columns[name][place]) for place in places]
        plain = all(cell.isprintable() and not set(cell) & set('"\\$') for cell in cells)
        return plain and len(set(cells)) == len(cells) and max(map(len, cells)) <= MAX_LABEL and "." not in cells[0]

    @staticmethod
    def _single(kind: str, name: str, values, cells, colour: str, rng: np.random.Generator) -> list[str]:
        if kind == "pie":
            return [f"ax.pie({_literal(values)}, labels={_literal(cells)})"]
        if kind != "line":
            return [f'ax.{kind}({_literal(cells)}, {_literal(values)}, color="{colour}")']
        marker = ["", ', marker="o"', ', marker="s"'][rng.integers(3)]
        dash = ["", "", ', linestyle="--"'][rng.integers(3)]
        order = np.argsort(cells, kind="stable") if not isinstance(cells[0], str) else range(len(cells))
        cells, values = [cells[place] for place in order], [values[place] for place in order]
        return [f'ax.plot({_literal(cells)}, {_literal(values)}{marker}{dash}, color="{colour}", label="{name}")']

    @staticmethod
    def _grouped(names, values, cells, colours) -> list[str]:
        lines = []
        for side, (name, series, colour) in enumerate(zip(names, values, colours, strict=True)):
            places = [round(place - 0.2 + 0.4 * side, 1) for place in range(len(series))]
            lines.append(f'ax.bar({places}, {_literal(series)}, 0.4, color="{colour}", label="{name}")')
        ticks = _literal([str(cell) for cell in cells])
        return [*lines, f"ax.set_xticks({list(range(len(cells)))}, {ticks})"]
