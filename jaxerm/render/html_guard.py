"""What HTML must not contain before an engine lays it out, and a page of it: for tables and for whole pages."""

from __future__ import annotations

import re

from jaxerm.render.errors import DrawError

_DROPPED = re.compile(r"<(script|iframe|object|embed|template)\b.*?(</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)\b([^<>]*)>")
_SPAN = re.compile(r"""\b(col|row)span\s*=\s*["']?\s*(\d+)""", re.IGNORECASE)
# Elements that close themselves, or that the parser closes as soon as a sibling opens: they add no depth of their own.
_FLAT = frozenset(
    "area base br col embed hr img input link meta source track wbr "
    "p li dt dd option td th tr thead tbody tfoot colgroup caption html head body".split()
)
# A second <html>, <head> or <body> is merged into the first by every parser, so this can stand before a whole document.
# The canvas takes the colour of <body> only where the root reaches.
_START = "<!DOCTYPE html><html><head><meta charset='utf-8'><style>html{min-height:100vh}</style></head>"


def to_page(code: str, max_elements: int, max_depth: int, max_table_depth: int) -> str:
    """Returns `code`, a document or a part of one, as a page without scripts, frames and plug-ins.

    Raises:
      DrawError: "syntax" where there is no element at all, "too_large" beyond one of the limits.
    """
    if not _TAG.search(code):
        raise DrawError("syntax", "no HTML: not one element")
    html = drop_active(code)
    check(html, max_elements, max_elements, max_depth, max_table_depth)
    return _START + html


def drop_active(html: str) -> str:
    """Removes elements that run or embed something, with all that is in them."""
    return _DROPPED.sub("", html)


def check(html: str, max_elements: int | None, max_cells: int, max_depth: int, max_table_depth: int) -> None:
    """Counts tags without building a tree, which is what the limits protect.

    Raises:
      DrawError: "too_large", with the limit that is passed.
    """
    elements = cells = depth = tables = 0
    for close, name, attributes in _TAG.findall(html):
        name = name.lower()
        step = -1 if close else 1
        elements += not close
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
        if max_elements is not None and elements > max_elements:
            raise DrawError("too_large", f"more than {max_elements} elements")
