"""Further kinds of charts: what each draws of the columns and rows it is given, as lines of a matplotlib program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxerm.data.sources.datasets import Dataset, Value, written

LEGENDS = ("upper left", "upper right", "lower right", "lower left")
_FITTED = 'layout="constrained"'
"""Makes room for words that would reach out of the picture."""
MAPS = ("viridis", "Blues", "Reds", "Greens", "magma")


@dataclass(frozen=True)
class Columns:
    """What a chart is drawn of.

    Attributes:
      names, values: of the columns of numbers.
      label, cells: of the column that names the rows.
      colours: two of them.
      rng: decides the rest.
    """

    names: list[str]
    values: list[list[float]]
    label: str
    cells: list[Value]
    colours: list[str]
    rng: np.random.Generator

    @property
    def words(self) -> list[str]:
        """The names of the rows as text, so that an axis names them and does not count."""
        return [str(cell) for cell in self.cells]


@dataclass
class Drawn:
    """Lines that draw on ``ax``, and what goes around them; `noun` counts the things drawn."""

    lines: list[str]
    title: str
    axes: tuple[str, str]
    noun: str = "points"
    count: int = 0
    legend: bool = False
    figure: str = ""
    after: list[str] = field(default_factory=list)


def literal(values: Sequence[Value]) -> str:
    """A list as Python writes it."""
    cells = [f'"{value}"' if isinstance(value, str) else written(value) for value in values]
    return f"[{', '.join(cells)}]"


def _ticks(places: Sequence[Value], words: Sequence[str], axis: str = "x") -> str:
    return f"ax.set_{axis}ticks({literal(places)}, {literal(words)})"


def _room(values: Sequence[float]) -> tuple[str, str]:
    """Limits that fit the data with room for other values: from zero where there are no negative ones."""
    low, high = min(values), max(values)
    reach = 0.25 * ((high - min(low, 0)) or 1)
    step = 10 ** math.floor(math.log10(reach))
    low, high = (0 if low >= 0 else math.floor((low - reach) / step) * step), math.ceil((high + reach) / step) * step
    return written(float(f"{low:.6g}")), written(float(f"{high:.6g}"))


def _sorted(data: Columns) -> tuple[list[Value], list[float]]:
    """Rows in the order of their names where those are numbers."""
    order = range(len(data.cells)) if isinstance(data.cells[0], str) else np.argsort(data.cells, kind="stable")
    return [data.cells[place] for place in order], [data.values[0][place] for place in order]


def stacked(data: Columns) -> Drawn:
    places = list(range(len(data.cells)))
    one, two = data.colours
    lines = [
        f"low = {literal(data.values[0])}",
        f'ax.bar({places}, low, color="{one}", label="{data.names[0]}")',
        f'ax.bar({places}, {literal(data.values[1])}, bottom=low, color="{two}", label="{data.names[1]}")',
        _ticks(places, data.words),
    ]
    title = f"{data.names[0]} and {data.names[1]}"
    return Drawn(lines, title, (data.label, ""), "bars", 2 * len(places), True)


def area(data: Columns) -> Drawn:
    cells, values = _sorted(data)
    call = f'ax.fill_between({literal(cells)}, {literal(values)}, color="{data.colours[0]}", label="{data.names[0]}")'
    return Drawn([call], f"{data.names[0]} by {data.label}", (data.label, data.names[0]), count=len(cells))


def step(data: Columns) -> Drawn:
    cells, values = _sorted(data)
    call = f'ax.step({literal(cells)}, {literal(values)}, where="mid", color="{data.colours[0]}"'
    lines = [f'{call}, label="{data.names[0]}")']
    return Drawn(lines, f"{data.names[0]} by {data.label}", (data.label, data.names[0]), count=len(cells))


def bubble(data: Columns) -> Drawn:
    x, y, third = data.names
    low, high = min(data.values[2]), max(data.values[2])
    sizes = [round(40 + 460 * (value - low) / (high - low)) for value in data.values[2]]
    call = f"ax.scatter({literal(data.values[0])}, {literal(data.values[1])}, s={sizes}"
    return Drawn([f'{call}, color="{data.colours[0]}")'], f"{y} by {x}, size: {third}", (x, y), count=len(sizes))


def donut(data: Columns) -> Drawn:
    call = f'ax.pie({literal(data.values[0])}, labels={literal(data.words)}, wedgeprops={{"width": 0.4}})'
    return Drawn([call], f"{data.names[0]} by {data.label}", ("", ""), "slices", len(data.cells))


def polar(data: Columns) -> Drawn:
    angles = [round(2 * math.pi * place / len(data.cells), 3) for place in range(len(data.cells))]
    low, high = _room(data.values[0])
    lines = [
        f'ax.bar({angles}, {literal(data.values[0])}, width={2 * math.pi / len(angles) - 0.2:.2f}, '
        f'color="{data.colours[0]}")',
        _ticks(angles, data.words),
        f"ax.set_ylim({low}, {high})",
    ]  # fmt: skip
    title = f"{data.names[0]} by {data.label}"
    return Drawn(lines, title, ("", ""), "bars", len(angles), figure='subplot_kw={"projection": "polar"}')


def radar(data: Columns) -> Drawn:
    angles = [round(2 * math.pi * place / len(data.cells), 3) for place in range(len(data.cells))]
    low, high = _room([*data.values[0], *data.values[1]])
    lines = [f"angles = {angles}"]
    for name, values, colour, series in zip(("one", "two"), data.values, data.colours, data.names, strict=True):
        lines.append(f"{name} = {literal(values)}")
        lines.append(
            f'ax.plot(angles + angles[:1], {name} + {name}[:1], marker="o", color="{colour}", label="{series}")'
        )
    lines += [_ticks(angles, data.words), f"ax.set_ylim({low}, {high})"]
    title = f"{data.names[0]} and {data.names[1]}"
    return Drawn(lines, title, ("", ""), "points", 2 * len(angles), True, 'subplot_kw={"projection": "polar"}')


def solid(data: Columns) -> Drawn:
    x, y, z = data.names
    lists = ", ".join(literal(values) for values in data.values)
    lines = [f'ax.scatter({lists}, color="{data.colours[0]}")']
    figure = 'subplot_kw={"projection": "3d"}'
    return Drawn(
        lines, f"{z} by {x} and {y}", (x, y), count=len(data.cells), figure=figure, after=[f'ax.set_zlabel("{z}")']
    )


def twin(data: Columns) -> Drawn:
    cells, values = _sorted(data)
    order = range(len(cells)) if isinstance(data.cells[0], str) else np.argsort(data.cells, kind="stable")
    others = [data.values[1][place] for place in order]
    (one, two), (left, right) = data.colours, data.names
    lines = [
        f'ax.plot({literal(cells)}, {literal(values)}, marker="o", color="{one}", label="{left}")',
        "bx = ax.twinx()",
        f'bx.plot({literal(cells)}, {literal(others)}, marker="s", linestyle="--", color="{two}", label="{right}")',
    ]
    after = [f'bx.set_ylabel("{right}")']
    title = f"{left} and {right}"
    return Drawn(lines, title, (data.label, left), count=2 * len(cells), figure=_FITTED, after=after)


def log(data: Columns) -> Drawn:
    values, name = data.values[0], ("bar", "plot")[data.rng.integers(2)]
    low, high = (way(math.log10(value)) for way, value in ((math.floor, min(values)), (math.ceil, max(values))))
    mark = ', marker="o"' if name == "plot" else ""
    lines = [
        f'ax.{name}({literal(data.words)}, {literal(values)}{mark}, color="{data.colours[0]}")',
        'ax.set_yscale("log")',
        f"ax.set_ylim({written(10.0 ** (low - (low == math.log10(min(values)))))}, {written(10.0 ** (high + 1))})",
    ]
    noun = "bars" if name == "bar" else "points"
    return Drawn(lines, f"{data.names[0]} by {data.label}", (data.label, data.names[0]), noun, len(values))


def annotated(data: Columns) -> Drawn:
    values = data.values[0]
    title, axes = f"{data.names[0]} by {data.label}", (data.label, data.names[0])
    place = int(np.argmax(values))
    low, high = _room(values)
    sides = {0: "left", len(values) - 1: "right"}
    lines = [
        f'ax.plot({literal(data.words)}, {literal(values)}, marker="o", color="{data.colours[0]}")',
        f'ax.annotate("highest: {data.words[place]}", ({place}, {written(values[place])}), xytext=(0, 12), '
        f'textcoords="offset points", ha="{sides.get(place, "center")}", annotation_clip=False)',
        f"ax.set_ylim({low}, {high})",
    ]  # fmt: skip
    if data.rng.random() < 0.5:
        lines[0] = f'ax.bar({literal(data.words)}, {literal(values)}, color="{data.colours[0]}")'
    return Drawn(lines, title, axes, count=len(values))


def heatmap(data: Columns) -> Drawn:
    rows = [[round(100 * values[place] / max(values)) for values in data.values] for place in range(len(data.cells))]
    image = f'image = ax.imshow({rows}, cmap="{MAPS[data.rng.integers(len(MAPS))]}", '
    image += 'vmin=0, vmax=100, aspect="auto")'
    lines = [image, "fig.colorbar(image)", _ticks(range(len(data.names)), [name[:12].strip() for name in data.names])]
    lines.append(_ticks(range(len(rows)), data.words, "y"))
    count = len(rows) * len(data.names)
    return Drawn(lines, f"per cent of the largest by {data.label}", ("", ""), "cells", count, figure=_FITTED)


def _groups(data: Dataset, rng: np.random.Generator) -> tuple[str, str, list[str], list[list[float]]] | None:
    """A column of numbers, parted by one with few values: (column, the other, its values, a list of numbers each)."""
    found = []
    for name, cells in data.columns.items():
        kinds = sorted(set(map(str, cells)))
        if 3 <= len(kinds) <= 12 and max(map(len, kinds)) <= 12 and min(map(list(map(str, cells)).count, kinds)) >= 5:
            found.append((name, kinds))
    if not found:
        return None
    label, kinds = found[rng.integers(len(found))]
    numeric = [name for name in data.numeric if name != label and name not in ("year", "longitude", "latitude")]
    if not numeric:
        return None
    name = numeric[rng.integers(len(numeric))]
    chosen = [kinds[place] for place in sorted(rng.choice(len(kinds), size=min(len(kinds), 4), replace=False))]
    cells, groups = list(map(str, data.columns[label])), []
    for kind in chosen:
        places = [place for place, cell in enumerate(cells) if cell == kind]
        start = int(rng.integers(len(places) - 4))
        groups.append([float(written(data.columns[name][place])) for place in places[start : start + 9]])
    whole = [value for group in groups for value in group]
    if any(len(set(group)) < 3 for group in groups) or max(map(abs, whole)) >= 1e6:
        return None
    extent = max(whole) - min(whole)
    # A box that is a line cannot be compared.
    return (name, label, chosen, groups) if min(max(g) - min(g) for g in groups) > 0.05 * extent else None


def spread(kind: str, data: Dataset, colours: list[str], rng: np.random.Generator) -> Drawn | None:
    """Boxes, violins, or means with error bars, of one column parted by another."""
    made = _groups(data, rng)
    if made is None:
        return None
    name, label, words, groups = made
    if kind == "errorbar":
        means = [float(f"{np.mean(group):.3g}") for group in groups]
        errors = [float(f"{np.std(group) / 2:.2g}") for group in groups]
        low, high = _room([mean + error for mean, error in zip(means, errors, strict=True)] + means)
        call = f'ax.errorbar({literal(words)}, {literal(means)}, yerr={literal(errors)}, fmt="o", capsize=5, '
        lines = [f'{call}color="{colours[0]}", label="{name}")', f"ax.set_ylim({low}, {high})"]
        return Drawn(lines, f"mean {name} by {label}", (label, name), count=len(words))
    low, high = _room([value for group in groups for value in group])
    values = f"[{', '.join(map(literal, groups))}]"
    method = {"box": "boxplot", "violin": "violinplot"}[kind]
    lines = [f"ax.{method}({values})", _ticks(range(1, len(words) + 1), words), f"ax.set_ylim({low}, {high})"]
    return Drawn(lines, f"{name} by {label}", (label, name), {"box": "boxes"}.get(kind, "violins"), len(words))


def contour(data: Dataset, rng: np.random.Generator) -> Drawn | None:
    """How often values of two columns meet."""
    names = [name for name in data.numeric if len(set(data.columns[name])) > 5]
    if len(names) < 2:
        return None
    x, y = (names[place] for place in rng.choice(len(names), size=2, replace=False))
    counts, _, _ = np.histogram2d(*(np.array(data.columns[name], float) for name in (y, x)), bins=6)
    if (counts > 0).sum() < 8 or counts.max() < 4:
        return None
    rows = counts.astype(int).tolist()
    filled = "contourf" if rng.random() < 0.6 else "contour"
    levels = int(rng.integers(4, 8))
    call = f'image = ax.{filled}({rows}, levels={levels}, cmap="{MAPS[rng.integers(len(MAPS))]}")'
    return Drawn([call, "fig.colorbar(image)"], f"{data.name}: rows by {x} and {y}", (x, y), "levels", levels)


OF_COLUMNS: dict[str, tuple[Callable[[Columns], Drawn], int]] = {
    "stacked": (stacked, 2), "area": (area, 1), "step": (step, 1), "bubble": (bubble, 3), "donut": (donut, 1),
    "polar": (polar, 1), "radar": (radar, 2), "3d": (solid, 3), "twin": (twin, 2), "log": (log, 1),
    "annotated": (annotated, 1), "heatmap": (heatmap, 3),
}  # fmt: skip
"""Kind -> how it is drawn, and of how many columns of numbers."""
SPREAD = ("box", "violin", "errorbar")
"""Kinds that show how the values of a column are spread."""
