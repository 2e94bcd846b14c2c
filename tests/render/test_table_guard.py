"""Limits and forms of table code."""

from __future__ import annotations

import pytest

from jaxerm.render import table_guard
from jaxerm.render.errors import DrawError


def page(code: str) -> str:
    return table_guard.to_page(code, max_cells=50, max_depth=10, max_table_depth=3)


@pytest.mark.parametrize(
    "code",
    [
        "<table>" + "<tr><td>x" * 60 + "</table>",
        "<table><tr><td>" + "<div>" * 12 + "</table>",
        "<table><tr><td>" * 5,
        "<table><tr><td colspan=1000>x</table>",
        "<table><tr><td rowspan='10' colspan='10'>x</table>",
    ],
)
def test_too_much_is_refused(code):
    with pytest.raises(DrawError) as error:
        page(code)
    assert error.value.kind == "too_large"


def test_many_rows_are_not_depth():
    assert "row 20" in page("<table>" + "".join(f"<tr><td><b>row {i}</b>" for i in range(40)) + "</table>")


def test_markdown_becomes_a_table():
    assert "<th>a</th>" in page("| a | b |\n|---|---|\n| 1 | 2 |")


def test_bare_rows_are_wrapped():
    assert "<table><tr><td>1" in page("<tr><td>1</td></tr>")


def test_scripts_and_frames_are_dropped():
    out = page("<table><tr><td>1<script>x()</script><iframe src='file:///etc/passwd'></iframe></td></tr></table>")
    assert "script" not in out and "iframe" not in out


def test_prose_is_no_table():
    with pytest.raises(DrawError, match="no table"):
        page("There is nothing here.")
