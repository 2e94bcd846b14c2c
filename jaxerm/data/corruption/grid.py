"""A table as a grid of cells over its own source text, HTML or Markdown: what is not changed is written as it was."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from html import escape, unescape

_ROW = re.compile(
    r"(?P<open><tr\b[^>]*>)(?P<inside>.*?)(?=<tr\b|</(?:tr|table|thead|tbody|tfoot)\b|\Z)(?P<close></tr\s*>)?",
    re.IGNORECASE | re.DOTALL,
)
_CELL = re.compile(
    r"(?P<open><(?P<name>t[dh])\b[^>]*>)(?P<inside>.*?)(?=<t[dh]\b|</t[dh]\b|\Z)(?P<close></t[dh]\s*>)?",
    re.IGNORECASE | re.DOTALL,
)
_SPAN = re.compile(r"(?:col|row)span\s*=\s*[\"']?\s*(\d+)", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^>]*>")
_RULER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_BAR = re.compile(r"(?<!\\)\|")


@dataclass
class Cell:
    """One cell: `before` and `after` are what stands around its content in the source, such as its tags."""

    before: str
    source: str
    after: str
    html: bool

    @property
    def text(self) -> str:
        """The content as it is read."""
        if self.html:
            return " ".join(unescape(_ANY_TAG.sub(" ", self.source)).split())
        return self.source.strip().replace("\\|", "|")

    @text.setter
    def text(self, value: str) -> None:
        self.source = escape(value, quote=False) if self.html else value.replace("|", "\\|")

    @property
    def plain(self) -> bool:
        """Whether there is nothing in it but text."""
        return not (self.html and _ANY_TAG.search(self.source))


@dataclass
class Row:
    """One row. A ruler is the ``|---|`` line of Markdown: it has the columns of the table and is no row to a reader."""

    before: str
    cells: list[Cell]
    after: str
    header: bool = False
    ruler: bool = False

    def write(self) -> str:
        """The source text."""
        return self.before + "".join(cell.before + cell.source + cell.after for cell in self.cells) + self.after


@dataclass
class Grid:
    """A table: rows, and the source text between them.

    Attributes:
      pieces: rows and text, in order.
      spans: whether a cell spans several rows or columns, so that there is no plain grid.
    """

    pieces: list[Row | str] = field(default_factory=list)
    spans: bool = False

    @property
    def header(self) -> Row | None:
        """The first row if it is a header."""
        rows = [piece for piece in self.pieces if isinstance(piece, Row) and not piece.ruler]
        return rows[0] if rows and rows[0].header else None

    @property
    def rows(self) -> list[Row]:
        """All rows a reader counts: not the header, not a ruler."""
        header = self.header
        rows = [piece for piece in self.pieces if isinstance(piece, Row)]
        return [row for row in rows if row is not header and not row.ruler]

    @property
    def width(self) -> int:
        """Number of columns; 0 if rows differ, or cells span."""
        widths = {len(piece.cells) for piece in self.pieces if isinstance(piece, Row)}
        return widths.pop() if len(widths) == 1 and not self.spans else 0

    @property
    def bare(self) -> bool:
        """Whether it is Markdown without bars at its ends: its last two columns then hold each other."""
        rows = [piece for piece in self.pieces if isinstance(piece, Row)]
        return any(not cell.html for row in rows for cell in row.cells) and not all("|" in row.before for row in rows)

    def write(self) -> str:
        """The source text."""
        return "".join(piece if isinstance(piece, str) else piece.write() for piece in self.pieces)

    def copy(self) -> Grid:
        """A grid that can be changed without changing this one."""
        return copy.deepcopy(self)

    def remove_row(self, row: Row) -> None:
        """Takes a row out, with the line break before it."""
        place = self._place(row)
        del self.pieces[place]
        if place and isinstance(self.pieces[place - 1], str):
            self.pieces[place - 1] = re.sub(r"\n[ \t]*$", "", self.pieces[place - 1], count=1)

    def duplicate_row(self, row: Row) -> None:
        """Puts a copy of a row under it, on a line of its own if the row has one."""
        place = self._place(row)
        gap = self.pieces[place - 1] if place and isinstance(self.pieces[place - 1], str) else ""
        lead = re.search(r"\n[ \t]*$", gap)
        self.pieces[place + 1 : place + 1] = [lead.group() if lead else "", copy.deepcopy(row)]

    def swap_rows(self, one: Row, two: Row) -> None:
        """Changes the cells of two rows."""
        one.cells, two.cells = two.cells, one.cells

    def remove_column(self, column: int) -> None:
        """Takes a column out; the cell that becomes the first stands where the first stood."""
        for piece in self.pieces:
            if isinstance(piece, Row):
                gone = piece.cells.pop(column)
                if column == 0 and not gone.html:
                    piece.cells[0].before = gone.before

    def swap_columns(self, one: int, two: int) -> None:
        """Changes the contents of two columns, header included."""
        for piece in self.pieces:
            if isinstance(piece, Row):
                a, b = piece.cells[one], piece.cells[two]
                a.source, b.source = b.source, a.source

    def _place(self, row: Row) -> int:
        return next(place for place, piece in enumerate(self.pieces) if piece is row)


def read_grid(code: str) -> Grid:
    """Reads the table in a piece of HTML or Markdown; ``read_grid(code).write() == code``.

    Raises:
      ValueError: no table, several, or a table in a table.
    """
    if re.search(r"<(table|tr)\b", code, re.IGNORECASE):
        return _read_html(code)
    return _read_markdown(code)


def _read_html(code: str) -> Grid:
    if len(re.findall(r"<table\b", code, re.IGNORECASE)) > 1:
        raise ValueError("there is more than one table")
    grid = Grid(spans=any(int(span) != 1 for span in _SPAN.findall(code)))
    done = 0
    for found in _ROW.finditer(code):
        row = Row(found["open"], [], "", header=True)
        inside, at = found["inside"], 0
        for cell in _CELL.finditer(inside):
            row.cells.append(Cell(inside[at : cell.start()] + cell["open"], cell["inside"], cell["close"] or "", True))
            row.header = row.header and cell["name"].lower() == "th"
            at = cell.end()
        row.after = inside[at:] + (found["close"] or "")
        if row.cells:
            grid.pieces += [code[done : found.start()], row]
            done = found.end()
    grid.pieces.append(code[done:])
    if not grid.rows:
        raise ValueError("the table has no row of cells")
    return grid


def _read_markdown(code: str) -> Grid:
    lines = code.split("\n")
    rulers = [number for number, line in enumerate(lines) if number and "-" in line and _RULER.fullmatch(line)]
    if not rulers:
        raise ValueError("there is no table: neither <table> nor a Markdown table with its |---| line")
    first = rulers[0] - 1
    grid = Grid(["".join(line + "\n" for line in lines[:first])])
    last = first
    for number in range(first, len(lines)):
        if not _BAR.search(lines[number]):
            break
        last = number
        if number > first:
            grid.pieces.append("\n")
        grid.pieces.append(_markdown_row(lines[number], header=number == first, ruler=number == first + 1))
    grid.pieces.append("".join("\n" + line for line in lines[last + 1 :]))
    if not grid.rows:
        raise ValueError("the table has no rows under its header")
    return grid


def _markdown_row(line: str, header: bool, ruler: bool) -> Row:
    parts = _BAR.split(line)
    opens = parts[0].strip() == ""
    closes = len(parts) > 1 and parts[-1].strip() == ""
    before = parts.pop(0) + "|" if opens else ""
    after = "|" + parts.pop() if closes else ""
    cells = []
    for number, part in enumerate(parts):
        text = part.strip()
        left = len(part) - len(part.lstrip()) if text else len(part)
        bar = "|" if number else ""
        cells.append(Cell(bar + part[:left], text, part[left + len(text) :], False))
    return Row(before, cells, after, header, ruler)
