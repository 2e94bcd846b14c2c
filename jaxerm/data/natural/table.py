"""The ledger of an attempt at a table: grid with grid, columns matched first, then rows, then cell with cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxerm.data.corruption.grid import Grid, read_grid
from jaxerm.data.corruption.table_cells import cell_entry, column_words, header_entry, row_words
from jaxerm.data.program import Edit

Order = tuple[float, ...]
_MISSING, _EXTRA, _MOVED = 3, 2, 2
"""Severities of a row or column that is not there, should not be there, or is out of place."""


@dataclass
class _Table:
    """What a reader sees of a table: its header, if any, and its rows."""

    names: list[str]
    rows: list[list[str]]

    @property
    def width(self) -> int:
        return max(map(len, [self.names, *self.rows]))

    def column(self, place: int) -> list[str]:
        return [row[place] if place < len(row) else "" for row in self.rows]


def compare_tables(reference: str, attempt: str) -> tuple[Edit, ...] | None:
    """What differs between a table and an attempt at it, in the words of `corrupt_table`.

    HTML and Markdown may be compared with each other. Columns are matched by their headers and what they hold; rows so
    that the severities of what differs add up to the least; what is left are cells.

    Returns:
      The ledger: header and columns first, then row after row; None if the attempt is no single table.

    Raises:
      ValueError: the reference is no single table.
    """
    wanted = _read(read_grid(reference), True)
    try:
        found = _read(read_grid(attempt), bool(wanted.names))
    except ValueError:
        return None
    entries: list[tuple[Order, Edit]] = []
    columns = _match_columns(wanted, found, entries)
    for old, new in columns:
        was, now = (table.names[place] if place < len(table.names) else "" for table, place in
                    ((wanted, old), (found, new)))  # fmt: skip
        if was != now:
            entries.append(((-1, old), header_entry("header", old + 1, now, was)))
    # From here on only columns that both have.
    ours = [[row[old] if old < len(row) else "" for old, _ in columns] for row in wanted.rows]
    theirs = [[row[new] if new < len(row) else "" for _, new in columns] for row in found.rows]
    words = [column_words(wanted.names, old) for old, _ in columns]
    _shifted_columns(ours, theirs, words, entries)
    rows = _match_rows(ours, theirs)
    _row_entries(wanted, found, ours, theirs, rows, entries)
    for i, j in rows:
        if i is not None and j is not None:
            _cell_entries(i, wanted.rows[i], ours[i], theirs[j], words, entries)
    entries.sort(key=lambda entry: entry[0])
    return tuple(edit for _, edit in entries)


def _read(grid: Grid, headed: bool) -> _Table:
    """A table that should have a header and sets none apart has its first row for one."""
    header = grid.header.cells if grid.header is not None else []
    rows = [[cell.text for cell in row.cells] for row in grid.rows]
    if header or not headed or grid.header is None and len(rows) < 2:
        return _Table([cell.text for cell in header], rows)
    return _Table([], rows)


def _likeness(one: Sequence[str], two: Sequence[str]) -> float:
    """0 to 1: the share of the cells of two columns that both hold, in any order."""
    both = sum((Counter(one) & Counter(two)).values())
    return both / max(len(one), len(two), 1)


def _match_columns(wanted: _Table, found: _Table, entries: list) -> list[tuple[int, int]]:
    """(place in the reference, place in the attempt) of columns that are the same; entries for the others."""
    n, m = wanted.width, found.width
    worth = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            names = [table.names[place] if place < len(table.names) else "" for table, place in
                     ((wanted, i), (found, j))]  # fmt: skip
            same_name = names[0] == names[1] != ""
            worth[i, j] = _likeness(wanted.column(i), found.column(j)) + 0.8 * same_name + 0.1 * (i == j)
    rows, cols = linear_sum_assignment(worth, maximize=True)
    # Where nothing is missing or extra, the place alone makes two columns the same.
    least = 0.0 if n == m else 0.25
    pairs = [(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if worth[i, j] > least]
    met = {i for i, _ in pairs}, {j for _, j in pairs}
    for i in range(n):
        if i not in met[0]:
            words = column_words(wanted.names, i)
            entries.append(((-1, i), Edit("remove_column", "layout_error", _MISSING, None, f"{words} is missing")))
    for j in range(m):
        if j not in met[1]:
            words = column_words(found.names, j)
            entries.append(((-1, j), Edit("add_column", "layout_error", _EXTRA, None, f"{words} is extra")))
    moved = _moved([i for i, _ in sorted(pairs, key=lambda pair: pair[1])])
    if moved is not None:
        one, two = (column_words(wanted.names, i).removeprefix("column ") for i in moved or (0, 0))
        text = f"columns {one} and {two} are swapped" if moved else "columns are in another order"
        kind = "swap_columns" if moved else "order_columns"
        entries.append(((-1, moved[0] if moved else 0), Edit(kind, "layout_error", _MOVED, None, text)))
    return sorted(pairs)


def _moved(order: list[int]) -> tuple[int, ...] | None:
    """None where a sequence ascends; the two that changed places; an empty tuple for any other disorder."""
    right = sorted(order)
    away = [(at, should) for at, should in zip(order, right, strict=True) if at != should]
    if not away:
        return None
    return tuple(sorted(at for at, _ in away)) if len(away) == 2 else ()


def _apart(old: str, new: str) -> float:
    """How unlikely it is that one cell became another: 1 for what a slip of the pen can do, more for another cell."""
    if old == new:
        return 0.0
    plain = [re.sub(r"[^\w]", "", text).casefold() for text in (old, new)]
    slip = sorted(plain[0]) == sorted(plain[1]) or (plain[1] and plain[0].startswith(plain[1]) and len(plain[1]) > 1)
    short, long = sorted(plain, key=len)
    # One letter or digit another, more or less.
    start = next((at for at, letter in enumerate(short) if letter != long[at]), len(short))
    rest = long[start + 1 :]
    one = len(long) > 1 and rest in (short[start:], short[start + 1 :])
    return 1.0 if slip or one else 1.3 if not new else 2.0


def _cost(old: list[str], new: list[str]) -> float:
    """How unlikely it is that one row became another, cell by cell, or by what befell it as a whole."""
    cells = sum(_apart(a, b) for a, b in zip(old, new, strict=True))
    return min(cells, 2.0) if sorted(old) == sorted(new) else cells


def _match_rows(ours: list[list[str]], theirs: list[list[str]]) -> list[tuple[int | None, int | None]]:
    """Pairs of rows, None for one without a partner: what is likeliest, in order if that is as likely."""
    n, m = len(ours), len(theirs)
    pair = np.array([[_cost(a, b) for b in theirs] for a in ours]).reshape(n, m)
    # A row that is there twice is likelier to be one too many than one that is there once.
    extra = np.array([1.5 if theirs.count(row) > 1 else 2.5 for row in theirs])
    ordered = _aligned(pair, extra)
    # Near places first, where rows are alike.
    cost = np.full((n + m, n + m), np.inf)
    cost[:n, :m] = pair + 1e-3 * np.abs(np.arange(n)[:, None] - np.arange(m)[None])
    cost[np.arange(n), m + np.arange(n)] = _MISSING
    cost[n + np.arange(m), np.arange(m)] = extra
    cost[n:, m:] = 0
    free = [(int(i) if i < n else None, int(j) if j < m else None)
            for i, j in zip(*linear_sum_assignment(cost), strict=True) if i < n or j < m]  # fmt: skip

    def total(rows) -> float:
        there = [(i, j) for i, j in rows if i is not None and j is not None]
        lost = _MISSING * (n - len(there)) + sum(extra[j] for i, j in rows if i is None)
        disorder = _moved([i for i, _ in sorted(there, key=lambda entry: entry[1])]) is not None
        return sum(pair[i, j] for i, j in there) + lost + disorder * _MOVED

    return min((ordered, free), key=total)


def _aligned(pair: np.ndarray, extra: np.ndarray) -> list[tuple[int | None, int | None]]:
    """The cheapest matching that keeps the order of the rows: dynamic programming."""
    n, m = pair.shape
    best = np.zeros((n + 1, m + 1))
    best[:, 0], best[0, 1:] = _MISSING * np.arange(n + 1), np.cumsum(extra)
    for i in range(n):
        for j in range(m):
            best[i + 1, j + 1] = min(best[i, j] + pair[i, j], best[i, j + 1] + _MISSING, best[i + 1, j] + extra[j])
    rows: list[tuple[int | None, int | None]] = []
    i, j = n, m
    while i or j:
        if i and j and best[i, j] == best[i - 1, j - 1] + pair[i - 1, j - 1]:
            i, j = i - 1, j - 1
            rows.append((i, j))
        elif i and best[i, j] == best[i - 1, j] + _MISSING:
            i -= 1
            rows.append((i, None))
        else:
            j -= 1
            rows.append((None, j))
    return rows[::-1]


def _row_entries(wanted: _Table, found: _Table, ours, theirs, rows, entries: list) -> None:
    """Rows that are missing, extra or repeated, and those in other places."""
    partner = {j: i for i, j in rows if i is not None and j is not None}
    for i, j in rows:
        if j is None:
            text = f"{row_words(wanted.rows[i], i)} is missing"
            entries.append(((i, -1), Edit("remove_row", "layout_error", _MISSING, None, text)))
        elif i is None:
            like = [k for k, row in enumerate(ours) if row == theirs[j]]
            above = [partner[k] for k in range(j) if k in partner]
            if like:
                near = min(like, key=lambda k: abs(k - j))
                text = f"{row_words(wanted.rows[near], near)} is repeated"
                entries.append(((near, -1), Edit("repeat_row", "layout_error", _EXTRA, None, text)))
            else:
                under = f"under row {above[-1] + 1}" if above else "at the top"
                first = f"a row ({found.rows[j][0]})" if found.rows[j] and found.rows[j][0] else "a row"
                edit = Edit("add_row", "layout_error", _EXTRA, None, f"{first} is extra {under}")
                entries.append(((above[-1] if above else -0.5, -1), edit))
    moved = _moved([partner[j] for j in sorted(partner)])
    if moved is not None:
        text = f"rows {moved[0] + 1} and {moved[1] + 1} are swapped" if moved else "rows are in another order"
        kind = "swap_rows" if moved else "order_rows"
        entries.append(((moved[0] if moved else 0, -1), Edit(kind, "layout_error", _MOVED, None, text)))


def _shifted_columns(ours: list[list[str]], theirs: list[list[str]], words: list[str], entries: list) -> None:
    """Entries of columns whose cells all moved down by one row while others stayed; then puts them back in place."""
    if len(ours) != len(theirs) or len(ours) < 3:
        return
    columns = [([row[place] for row in ours], [row[place] for row in theirs]) for place in range(len(words))]
    moved = [place for place, (was, now) in enumerate(columns) if was != now == [was[-1], *was[:-1]]]
    kept = [was for was, now in columns if 2 * sum(a == b for a, b in zip(was, now, strict=True)) > len(was)]
    for place in moved if kept else ():
        text = f"{words[place]} is shifted down by one row, its last cell comes first"
        entries.append(((-1, place), Edit("shift_column", "layout_error", _MOVED, None, text)))
        for row, cell in zip(theirs, columns[place][0], strict=True):
            row[place] = cell


def _cell_entries(i: int, whole: list[str], old: list[str], new: list[str], words: list[str], entries: list) -> None:
    """What differs in one row."""
    wrong = [place for place, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    if len(wrong) == 2 and old[wrong[0]] == new[wrong[1]] and old[wrong[1]] == new[wrong[0]]:
        names = [words[place].removeprefix("column ") for place in wrong]
        text = f"row {i + 1}: the cells of columns {names[0]} and {names[1]} are swapped"
        entries.append(((i, wrong[0]), Edit("swap_cells", "layout_error", _MOVED, None, text)))
    elif len(wrong) > 2 and new == [old[-1], *old[:-1]]:
        text = f"{row_words(whole, i)} is shifted right by one column, its last cell comes first"
        entries.append(((i, -1), Edit("shift_row", "layout_error", _MOVED, None, text)))
    else:
        entries += [((i, place), cell_entry("cell", i + 1, words[place], new[place], old[place])) for place in wrong]
