"""Edits of a table, on its grid: cells, numbers and headers changed, rows and columns lost, repeated or swapped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jaxerm.data.corruption.common import Step, choose, misspelt, other, pick
from jaxerm.data.corruption.grid import Grid, read_grid
from jaxerm.data.corruption.table_cells import (
    cell_entry,
    column_words,
    header_entry,
    is_number,
    number_of,
    row_words,
)
from jaxerm.data.corruption.table_more import MoreEdits
from jaxerm.data.program import Edit


class TableEditor(MoreEdits):
    """Draws steps for one table. Rows count from 1 under the header; columns go by their header."""

    def __init__(self, grid: Grid, rng: np.random.Generator):
        self.grid, self.rng = grid, rng
        self.cells = [[cell.text for cell in row.cells] for row in grid.rows]
        self.names = [cell.text for cell in grid.header.cells] if grid.header else []
        self.width = grid.width

    def makers(self) -> list[Callable[[], Step | None]]:
        numbers = [self.digit, self.sign, self.point]
        texts = [self.misspell, self.replace, self.header, self.header]
        layout = [self.remove_row, self.repeat_row, self.swap_rows, self.remove_column, self.swap_columns]
        return [*numbers, *texts, self.empty, *layout, *self.more()]

    def _column(self, place: int) -> str:
        return column_words(self.names if self.width else [], place)

    def _row(self, place: int) -> str:
        return row_words(self.cells[place], place)

    def _pick_cell(self, numeric: bool | None = None) -> tuple[int, int] | None:
        places = [
            (row, column)
            for row, cells in enumerate(self.cells)
            for column, text in enumerate(cells)
            if text and self.grid.rows[row].cells[column].plain and numeric in (None, is_number(text))
        ]
        return pick(self.rng, places) if places else None

    def _cell_step(self, kind: str, place: tuple[int, int], new: str) -> Step:
        row, column = place
        edit = cell_entry(kind, row + 1, self._column(column), new, self.cells[row][column])

        def apply(grid: Grid) -> None:
            grid.rows[row].cells[column].text = new

        return Step(edit, apply, frozenset([("cell", row, column)]), (row, column))

    def _number_step(self, kind: str, place: tuple[int, int], new: str) -> Step | None:
        """None where the number is the same, however it is written."""
        if number_of(new) == number_of(self.cells[place[0]][place[1]]):
            return None
        return self._cell_step(kind, place, new)

    def digit(self) -> Step | None:
        """One digit is another one."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        at = pick(self.rng, [number for number, letter in enumerate(text) if letter.isdigit()])
        # A number does not begin with a zero that was not there.
        digits = "0123456789" if at and text[at - 1].isdigit() else "123456789"
        return self._number_step("digit", place, text[:at] + other(self.rng, digits, text[at]) + text[at + 1 :])

    def sign(self) -> Step | None:
        """Minus is plus, plus is minus."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        return self._number_step("sign", place, text[1:] if text.startswith("-") else "-" + text.lstrip("+"))

    def point(self) -> Step | None:
        """The decimal point is one place off, or a whole number has one more or less zero."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        if "." not in text:
            new = text[:-1] if text.endswith("0") and len(text.lstrip("+-")) > 1 else f"{text.rstrip('%')}0"
            return self._number_step("point", place, new + "%" * text.endswith("%"))
        whole, part = text.rstrip("%").split(".")
        if self.rng.random() < 0.5 and whole.lstrip("+-") not in ("0", ""):
            digits = whole.lstrip("+-")
            new = f"{whole[: len(whole) - len(digits)]}{digits[:-1] or '0'}.{digits[-1]}{part}"
        else:
            digits = (whole.lstrip("+-") + part[0]).lstrip("0") or "0"
            new = whole[: len(whole) - len(whole.lstrip("+-"))] + digits + (f".{part[1:]}" if part[1:] else "")
        return self._number_step("point", place, new + "%" * text.endswith("%"))

    def misspell(self) -> Step | None:
        """One letter wrong in a cell."""
        if (place := self._pick_cell(numeric=False)) is None:
            return None
        new = misspelt(self.rng, self.cells[place[0]][place[1]])
        return None if new is None else self._cell_step("misspell", place, new)

    def replace(self) -> Step | None:
        """The text of a cell is that of another row."""
        if (place := self._pick_cell(numeric=False)) is None:
            return None
        row, column = place
        texts = {cells[column] for cells in self.cells if column < len(cells) and cells[column]}
        texts = sorted(text for text in texts if text != self.cells[row][column] and not is_number(text))
        return self._cell_step("replace", place, pick(self.rng, texts)) if texts else None

    def empty(self) -> Step | None:
        """Nothing in a cell that held something."""
        if (place := self._pick_cell()) is None:
            return None
        return self._cell_step("empty", place, "")

    def header(self) -> Step | None:
        """A header misspelt, or another word."""
        header = self.grid.header
        places = [column for column, name in enumerate(self.names) if name and header.cells[column].plain]
        if not places:
            return None
        column = pick(self.rng, places)
        old = self.names[column]
        swapped = self.rng.random() < 0.5
        words = [word for word in ("value", "name", "year", "total", "type") if word not in self.names]
        new = pick(self.rng, words) if swapped else misspelt(self.rng, old)
        if not new:
            return None

        def apply(grid: Grid) -> None:
            grid.header.cells[column].text = new

        edit = header_entry("header", column + 1, new, old)
        return Step(edit, apply, frozenset([("cell", -1, column)]), (-1, column))

    def _row_touches(self, *rows: int) -> frozenset:
        return frozenset(("cell", row, column) for row in rows for column in range(len(self.cells[row])))

    def remove_row(self) -> Step | None:
        row = int(self.rng.integers(len(self.cells)))
        if self.grid.spans or len(self.cells) < 2:
            return None
        edit = Edit("remove_row", "layout_error", 3, None, f"{self._row(row)} is missing")
        return Step(edit, lambda grid: grid.remove_row(grid.rows[row]), self._row_touches(row), (row, -1))

    def repeat_row(self) -> Step | None:
        row = int(self.rng.integers(len(self.cells)))
        if self.grid.spans:
            return None
        edit = Edit("repeat_row", "layout_error", 2, None, f"{self._row(row)} is repeated")
        return Step(edit, lambda grid: grid.duplicate_row(grid.rows[row]), self._row_touches(row), (row, -1))

    def swap_rows(self) -> Step | None:
        if self.grid.spans or len(self.cells) < 2:
            return None
        one, two = sorted(int(row) for row in self.rng.choice(len(self.cells), size=2, replace=False))
        if self.cells[one] == self.cells[two]:
            return None
        edit = Edit("swap_rows", "layout_error", 2, None, f"rows {one + 1} and {two + 1} are swapped")
        touches = self._row_touches(one, two)
        return Step(edit, lambda grid: grid.swap_rows(grid.rows[one], grid.rows[two]), touches, (one, -1))

    def _column_touches(self, *columns: int) -> frozenset:
        return frozenset(("cell", row, column) for row in range(-1, len(self.cells)) for column in columns)

    def remove_column(self) -> Step | None:
        if self.width < (3 if self.grid.bare else 2):
            return None
        column = int(self.rng.integers(self.width))
        edit = Edit("remove_column", "layout_error", 3, None, f"{self._column(column)} is missing")
        return Step(edit, lambda grid: grid.remove_column(column), self._column_touches(column), (-1, column))

    def swap_columns(self) -> Step | None:
        if self.width < 2:
            return None
        one, two = sorted(int(column) for column in self.rng.choice(self.width, size=2, replace=False))
        first, second = (self._column(column).removeprefix("column ") for column in (one, two))
        edit = Edit("swap_columns", "layout_error", 2, None, f"columns {first} and {second} are swapped")
        return Step(edit, lambda grid: grid.swap_columns(one, two), self._column_touches(one, two), (-1, one))


_ROWS = ("remove_row", "repeat_row", "swap_rows", "add_row")
_COLUMNS = ("remove_column", "swap_columns", "swap_cells", "shift_row", "shift_column")
_LATE = ("swap_cells", "shift_row", "shift_column", "swap_rows", "swap_columns", "repeat_row", "add_row", "remove_row",
         "remove_column")  # fmt: skip
"""Edits that move rows or columns, after those that count them."""


def _fits(steps: list[Step]) -> bool:
    """At most one edit that moves rows and one that moves columns: then each is still true of the picture."""
    kinds = [step.edit.kind for step in steps]
    return all(sum(kind in kinds_ for kind in kinds) <= 1 for kinds_ in (_ROWS, _COLUMNS))


def _applied(grid: Grid, steps: list[Step]) -> str:
    changed = grid.copy()
    structural = [step for step in steps if step.edit.kind in _LATE]
    for step in steps:
        if step not in structural:
            step.apply(changed)
    for step in sorted(structural, key=lambda step: _LATE.index(step.edit.kind)):
        step.apply(changed)
    return changed.write()


def corrupt_table(code: str, rng: np.random.Generator, n_edits: int) -> tuple[str, list[Edit], list[str]]:
    """Applies up to `n_edits` edits to different cells, rows and columns of an HTML or Markdown table.

    Rows and columns are numbered as in the reference, from 1, the header not counted; columns go by their header where
    it is unique. Tables with cells that span rows or columns keep their rows and columns. Severity: of cells and
    headers see `cell_entry`; a row or column missing 3, extra, repeated, shifted or swapped 2.

    Returns:
      The code, the ledger (header and columns first, then row after row), and the code with each edit alone.

    Raises:
      ValueError: no single table.
    """
    grid = read_grid(code)
    if n_edits == 0:
        return code, [], []
    steps = choose(rng, TableEditor(grid, rng).makers(), n_edits, _fits)
    if not steps:
        return code, [], []
    return _applied(grid, steps), [step.edit for step in steps], [_applied(grid, [step]) for step in steps]
