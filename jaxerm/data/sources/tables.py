"""Small tables cut from real data sets, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from jaxerm.data.program import Program
from jaxerm.data.sources.datasets import Dataset, csv_datasets, datasets, written

FORMATS = ("html", "markdown")
MAX_CELL = 16
"""Columns with a longer cell in the rows that are cut are left out."""


def to_html(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header, one row a line."""
    lines = ["<table>"]
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        lines.append("<tr>" + "".join(f"<{tag}>{escape(cell, quote=False)}</{tag}>" for cell in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same in Markdown."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


class _Cuts:
    """`n` tables, each a few rows and columns of one of the data sets."""

    task = "table"

    def __init__(
        self,
        data: Sequence[Dataset],
        kind: str,
        n: int,
        seed: int,
        max_rows: int,
        max_cols: int,
        formats: Sequence[str],
    ):
        formats = (formats,) if isinstance(formats, str) else tuple(formats)
        if not formats or set(formats) - set(FORMATS):
            raise ValueError(f"formats is {list(formats)}; there are {', '.join(FORMATS)}")
        if max_rows < 2 or max_cols < 2:
            raise ValueError(f"max_rows is {max_rows} and max_cols {max_cols}; both must be at least 2")
        self._data, self._kind, self._n, self._seed = data, kind, n, seed
        self._max_rows, self._max_cols, self._formats = max_rows, max_cols, formats

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < self._n:
            raise IndexError(f"{self._kind} {index}; there are {self._n}")
        rng = np.random.Generator(np.random.Philox(key=[self._seed, index]))
        rows: list[list[str]] = []
        while not rows:
            rows = self._cut(self._data[rng.integers(len(self._data))], rng)
        form = self._formats[rng.integers(len(self._formats))]
        code = to_html(rows) if form == "html" else to_markdown(rows)
        description = f"a table with {len(rows) - 1} rows and {len(rows[0])} columns: {', '.join(rows[0])}"
        return Program("table", code, f"{self._kind}-{self._seed}-{index}", description)

    def _cut(self, data: Dataset, rng: np.random.Generator) -> list[list[str]]:
        """A header and rows; empty if the place drawn has too few columns that fit."""
        count = int(rng.integers(2, self._max_rows + 1))
        width = int(rng.integers(2, self._max_cols + 1))
        stride = int(rng.integers(1, 4))
        last = len(data) - stride * (count - 1)
        if last < 1:
            return []
        places = int(rng.integers(last)) + stride * np.arange(count)
        columns = {name: [written(values[place]) for place in places] for name, values in data.columns.items()}
        fits = [name for name, cells in columns.items() if max(map(len, [name, *cells])) <= MAX_CELL]
        if len(fits) < width:
            return []
        chosen = [fits[place] for place in sorted(rng.choice(len(fits), size=width, replace=False))]
        return [chosen, *map(list, zip(*(columns[name] for name in chosen), strict=True))]


class Tables(_Cuts):
    """`n` small tables cut from the data sets of vega_datasets.

    Args:
      n: tables there are.
      seed: of all of them; table i is the same on every machine.
      max_rows: rows under the header, 2 to this many.
      max_cols: columns, 2 to this many.
      formats: any of ``html`` and ``markdown``; each table takes one.

    Raises:
      ValueError: an option out of range, or vega_datasets missing.
    """

    def __init__(
        self,
        n: int = 10_000,
        seed: int = 0,
        max_rows: int = 4,
        max_cols: int = 3,
        formats: Sequence[str] = FORMATS,
    ):
        super().__init__(datasets(), "table", n, seed, max_rows, max_cols, formats)


class CsvFolder(_Cuts):
    """`n` small tables cut from the .csv files of a folder and its subfolders (each with a header line).

    Args:
      path: the folder.
      n, seed, max_rows, max_cols, formats: as of `Tables`.

    Raises:
      ValueError: no such folder, no file in it, a file that cannot be read, or none that a table can be cut from.
    """

    def __init__(
        self,
        path: str | Path,
        n: int = 10_000,
        seed: int = 0,
        max_rows: int = 4,
        max_cols: int = 3,
        formats: Sequence[str] = FORMATS,
    ):
        found = csv_datasets(path)
        usable = [data for data in found if _can_be_cut(data, max_rows, max_cols)]
        if not usable:
            need = f"{max_rows} rows and {max_cols} columns of at most {MAX_CELL} characters"
            raise ValueError(f"none of the {len(found)} .csv files in {path} has {need}")
        super().__init__(usable, "csv", n, seed, max_rows, max_cols, formats)


def _can_be_cut(data: Dataset, max_rows: int, max_cols: int) -> bool:
    short = [
        name
        for name, values in data.columns.items()
        if len(name) <= MAX_CELL and max(len(written(value)) for value in values) <= MAX_CELL
    ]
    return len(short) >= max_cols and len(data) >= max_rows
