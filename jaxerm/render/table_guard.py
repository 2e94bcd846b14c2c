"""From table code, HTML or Markdown, to one page of HTML that is safe to lay out and styled as in the paper."""

from __future__ import annotations

import functools
import re

from jaxerm.render import html_guard
from jaxerm.render.errors import DrawError

STYLE = (
    "html,body{background:#fff}body{margin:20px;font:14px Arial,'DejaVu Sans',sans-serif;color:#000}"
    "table{border-collapse:collapse}th,td{border:1px solid #333;padding:6px 10px}"
)

_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_BODY_ROW = re.compile(r"<(tr|td|th)\b", re.IGNORECASE)


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
    html = html_guard.drop_active(html)
    html_guard.check(html, None, max_cells, max_depth, max_table_depth)
    # The paper's style goes first, so that a style of the code's own wins over it.
    return f"<!DOCTYPE html><html><head><meta charset='utf-8'><style>{STYLE}</style></head><body>{html}</body></html>"
