"""Further edits of a table: numbers rounded or with their digits exchanged, texts cut, cells and rows out of place."""

from __future__ import annotations

import re

from jaxerm.data.corruption.common import Step, pick
from jaxerm.data.corruption.grid import Grid
from jaxerm.data.corruption.table_cells import is_number, number_of
from jaxerm.data.program import Edit


class MoreEdits:
    """Edits that `corrupt_table` mixes in with its own. Stands on `TableEditor`."""

    def more(self) -> list:
        """The kinds."""
        cells = [self.rounded, self.transpose, self.unit, self.cut, self.case]
        return [*cells, self.swap_cells, self.shift_row, self.shift_column, self.add_row]

    def rounded(self) -> Step | None:
        """A number without its decimals, or with one less."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        if "." not in text:
            return None
        number, percent = number_of(text), "%" * text.endswith("%")
        digits = len(text.rstrip("%").split(".")[1])
        new = f"{number:.{pick(self.rng, range(digits))}f}{percent}"
        return self._number_step("round", place, new)

    def transpose(self) -> Step | None:
        """Two digits that stand side by side exchanged."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        spots = [m.start() for m in re.finditer(r"(?=\d\d)", text) if text[m.start()] != text[m.start() + 1]]
        # A number does not begin with a zero that was not there.
        spots = [at for at in spots if text[at + 1] != "0" or (at and text[at - 1].isdigit())]
        if not spots:
            return None
        at = pick(self.rng, spots)
        return self._number_step("transpose", place, text[:at] + text[at + 1] + text[at] + text[at + 2 :])

    def unit(self) -> Step | None:
        """A percent sign too many, or too few."""
        if (place := self._pick_cell(numeric=True)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        return self._cell_step("unit", place, text[:-1] if text.endswith("%") else text + "%")

    def cut(self) -> Step | None:
        """A text whose end is missing."""
        if (place := self._pick_cell(numeric=False)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        if len(text) < 5:
            return None
        new = text[: int(self.rng.integers(2, len(text) - 2))].strip()
        return self._cell_step("cut", place, new) if new and not is_number(new) else None

    def case(self) -> Step | None:
        """Capitals instead of small letters, or small ones instead of capitals."""
        if (place := self._pick_cell(numeric=False)) is None:
            return None
        text = self.cells[place[0]][place[1]]
        new = text.lower() if text.isupper() or (text[:1].isupper() and self.rng.random() < 0.5) else text.upper()
        return self._cell_step("case", place, new) if new != text else None

    def _plain_row(self, row: int) -> bool:
        return not self.grid.spans and all(cell.plain for cell in self.grid.rows[row].cells)

    def swap_cells(self) -> Step | None:
        """Two cells of a row exchanged."""
        row = int(self.rng.integers(len(self.cells)))
        cells = self.cells[row]
        if not self._plain_row(row) or len(cells) < 2 or not self.width:
            return None
        one, two = sorted(int(column) for column in self.rng.choice(len(cells), size=2, replace=False))
        if cells[one] == cells[two]:
            return None

        def apply(grid: Grid) -> None:
            a, b = grid.rows[row].cells[one], grid.rows[row].cells[two]
            a.source, b.source = b.source, a.source

        names = [self._column(column).removeprefix("column ") for column in (one, two)]
        text = f"row {row + 1}: the cells of columns {names[0]} and {names[1]} are swapped"
        edit = Edit("swap_cells", "layout_error", 2, None, text)
        return Step(edit, apply, frozenset([("cell", row, one), ("cell", row, two)]), (row, one))

    def shift_row(self) -> Step | None:
        """Every cell of a row one column too far right, the last one first."""
        row = int(self.rng.integers(len(self.cells)))
        cells = self.cells[row]
        if not self._plain_row(row) or self.width < 3 or cells == [cells[-1], *cells[:-1]]:
            return None

        def apply(grid: Grid) -> None:
            found = grid.rows[row].cells
            sources = [cell.source for cell in found]
            for cell, source in zip(found, [sources[-1], *sources[:-1]], strict=True):
                cell.source = source

        text = f"{self._row(row)} is shifted right by one column, its last cell comes first"
        edit = Edit("shift_row", "layout_error", 2, None, text)
        return Step(edit, apply, self._row_touches(row), (row, -1))

    def shift_column(self) -> Step | None:
        """Every cell of a column one row too far down, the last one first."""
        if not self.width or len(self.cells) < 3:
            return None
        column = int(self.rng.integers(self.width))
        cells = [row[column] for row in self.cells]
        if not all(self._plain_row(row) for row in range(len(self.cells))) or cells == [cells[-1], *cells[:-1]]:
            return None

        def apply(grid: Grid) -> None:
            found = [row.cells[column] for row in grid.rows]
            sources = [cell.source for cell in found]
            for cell, source in zip(found, [sources[-1], *sources[:-1]], strict=True):
                cell.source = source

        text = f"{self._column(column)} is shifted down by one row, its last cell comes first"
        edit = Edit("shift_column", "layout_error", 2, None, text)
        touches = frozenset(("cell", row, column) for row in range(len(self.cells)))
        return Step(edit, apply, touches, (-1, column))

    def add_row(self) -> Step | None:
        """A row that is made of the cells of others."""
        rows = len(self.cells)
        if self.grid.spans or rows < 2 or not self.width:
            return None
        row = int(self.rng.integers(rows))
        if not self._plain_row(row):
            return None
        made = [self.cells[int(self.rng.integers(rows))][column] for column in range(self.width)]
        if made in self.cells or not made[0]:
            return None

        def apply(grid: Grid) -> None:
            grid.duplicate_row(grid.rows[row])
            for cell, text in zip(grid.rows[row + 1].cells, made, strict=True):
                cell.text = text

        text = f"a row ({made[0]}) is extra under row {row + 1}"
        edit = Edit("add_row", "layout_error", 2, None, text)
        return Step(edit, apply, self._row_touches(row), (row, -1))
