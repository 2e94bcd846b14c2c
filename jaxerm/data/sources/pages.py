"""Real tables: those in a folder of HTML pages, reduced to their cells."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from lxml import html

from jaxerm.data.program import Program
from jaxerm.data.sources.icons import words

_KEPT = ("rowspan", "colspan")
_PARTS = ("caption", "thead", "tbody", "tfoot", "tr", "th", "td")


def plain_table(table: html.HtmlElement) -> str | None:
    """A table as its rows, cells and text, one row a line; None where it is used for layout, or holds another table.

    Links, images and looks go; spans, captions, and the sections of the table stay.
    """
    rows = table.findall(".//tr")
    if table.find(".//table") is not None or len(rows) < 2 or max(len(row) for row in rows) < 2:
        return None
    if table.find(".//form") is not None or table.find(".//input") is not None:
        return None
    lines: list[str] = []
    for part in table:
        if part.tag == "caption":
            lines.append(f"<caption>{_text(part)}</caption>")
        elif part.tag in ("thead", "tbody", "tfoot"):
            inside = [_row(row) for row in part if row.tag == "tr"]
            lines += [f"<{part.tag}>", *inside, f"</{part.tag}>"] if inside else []
        elif part.tag == "tr":
            lines.append(_row(part))
    return "\n".join(["<table>", *lines, "</table>"])


def _row(row: html.HtmlElement) -> str:
    cells = []
    for cell in row:
        if cell.tag in ("td", "th"):
            kept = "".join(f' {name}="{escape(cell.get(name))}"' for name in _KEPT if cell.get(name, "1") != "1")
            cells.append(f"<{cell.tag}{kept}>{_text(cell)}</{cell.tag}>")
    return f"<tr>{''.join(cells)}</tr>"


def _text(element: html.HtmlElement) -> str:
    return escape(re.sub(r"\s+", " ", element.text_content()).strip(), quote=False)


class PageTables:
    """The tables in the .html files of a folder and its subfolders.

    Pages are read when the source is opened, tables are cut out when they are asked for.

    Args:
      path: the folder.
      max_code_chars: longer tables are left out.
      min_code_chars: shorter ones too: they hold a word or two.

    Raises:
      ValueError: no such folder, or no table in it.
    """

    task = "table"

    def __init__(self, path: str | Path, max_code_chars: int = 4_000, min_code_chars: int = 80):
        self._folder = Path(path)
        if not self._folder.is_dir():
            raise ValueError(f"there is no folder {path}")
        self._places: list[tuple[Path, int]] = []
        for file in sorted([*self._folder.rglob("*.html"), *self._folder.rglob("*.htm")]):
            for number, table in enumerate(_tables(file)):
                code = plain_table(table)
                if code is not None and min_code_chars <= len(code) <= max_code_chars:
                    self._places.append((file, number))
        if not self._places:
            raise ValueError(f"there is no table of {min_code_chars} to {max_code_chars} characters in {path}")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < len(self):
            raise IndexError(f"table {index}; there are {len(self)}")
        file, number = self._places[index]
        code = plain_table(_tables(file)[number])
        name = file.relative_to(self._folder).with_suffix("").as_posix().replace("/", " ")
        return Program("table", code, f"page-{name}-{number}", f"table of {words(name)}")


def _tables(file: Path) -> list[html.HtmlElement]:
    data = file.read_bytes()
    if not data.strip():
        return []
    # Pages that do not say their encoding are UTF-8 more often than the Latin-1 the parser would guess.
    declared = re.search(rb"charset=[\"']?([\w-]+)", data[:2048])
    parser = html.HTMLParser(encoding=declared[1].decode() if declared else "utf-8")
    try:
        return html.document_fromstring(data, parser=parser).findall(".//table")
    except (LookupError, html.etree.ParserError):
        return []
