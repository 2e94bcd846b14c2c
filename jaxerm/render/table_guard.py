"""From table code, HTML or Markdown, to one page of HTML that is safe to lay out and styled as in the paper."""

from __future__ import annotations

import functools
import re

from jaxerm.render.errors import DrawError

STYLE = (
    "html,body{background:#fff}body{margin:20px;font:14px Arial,'DejaVu Sans',sans-serif;color:#000}"
    "table{border-collapse:collapse}th,td{border:1px solid #333;padding:6px 10px}"
)

_DROPPED = re.compile(r"<(script|iframe|object|embed|template)\b.*?(</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)\b([^<>]*)>")
_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_BODY_ROW = re.compile(r"<(tr|td|th)\b", re.IGNORECASE)
_SPAN = re.compile(r"""\b(col|row)span\s*=\s*["']?\s*(\d+)""", re.IGNORECASE)
# Elements that close themselves, or that the parser closes as soon as a sibling opens: they add no depth of their own.
_FLAT = frozenset(
    "area base br col embed hr img input link meta source track wbr "
    "p li dt dd option td th tr thead tbody tfoot colgroup caption html head body".split()
)


@functools.cache
def _markdown():
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def to_page(code: str, max_cells: int, max_depth: int, max_table_depth: int) -> str:
    """Returns an HTML page that shows the table(s) in `code`.

    Raises:
      DrawError: "syntax" where there is no table, "too_large" beyond one of the limits.
    """
    html = code
    if not _TABLE.search(html):
        html = f"<table>{html}</table>" if _BODY_ROW.search(html) else _markdown().render(html)
        if not _TABLE.search(html):
            raise DrawError("syntax", "no table: neither <table> nor a Markdown table with its |---| line")
    html = _DROPPED.sub("", html)
    _count(html, max_cells, max_depth, max_table_depth)
    # The paper's style goes first, so that a style of the code's own wins over it.
    return f"<!DOCTYPE html><html><head><meta charset='utf-8'><style>{STYLE}</style></head><body>{html}</body></html>"


def _count(html: str, max_cells: int, max_depth: int, max_table_depth: int) -> None:
    cells = depth = tables = 0
    for close, name, attributes in _TAG.findall(html):
        name = name.lower()
        step = -1 if close else 1
        if name == "table":
            tables = max(0, tables + step)
        elif name in ("td", "th") and not close:
            cells += 1
            area = 1
            for _, span in _SPAN.findall(attributes):
                area *= int(span[:6])
            if area > max_cells:
                raise DrawError("too_large", f"a cell spans {area} cells; the limit is {max_cells}")
        if name not in _FLAT and not attributes.endswith("/"):
            depth = max(0, depth + step)
        if depth > max_depth:
            raise DrawError("too_large", f"elements nested more than {max_depth} deep")
        if tables > max_table_depth:
            raise DrawError("too_large", f"tables nested more than {max_table_depth} deep")
        if cells > max_cells:
            raise DrawError("too_large", f"more than {max_cells} cells")
