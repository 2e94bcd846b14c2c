"""Comparing two programs finds what a corruption did, in the same words; and reads attempts in other words too."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from jaxerm.data.corruption import corrupt
from jaxerm.data.natural import compare
from jaxerm.data.natural.figure import FigureError, read_figure
from jaxerm.data.sources import open_source


def entries(edits):
    return Counter((edit.category, edit.severity, edit.location, edit.description) for edit in edits)


@pytest.mark.parametrize("name, n", [("tables", 150), ("icons", 60), ("charts", 24)])
def test_a_corruption_is_found_again(name, n, pool):
    source = open_source(name)
    hits = found = true = 0
    for index in range(n):
        made = corrupt(source[index], np.random.Generator(np.random.Philox(key=[12, index])), index % 4)
        got = compare(made.program.task, made.program.code, made.code, pool)
        assert got is not None
        hits += sum((entries(got) & entries(made.edits)).values())
        found, true = found + len(got), true + len(made.edits)
    assert true > n and 2 * hits / (found + true) >= 0.95


@pytest.mark.parametrize("name", ["tables", "icons", "charts", "drawings"])
def test_the_same_program_has_no_entries(name, pool):
    source = open_source(name)
    for index in range(40, 44):
        program = source[index]
        assert compare(program.task, program.code, program.code, pool) == ()


def words(task, reference, attempt, pool):
    return [edit.description for edit in compare(task, reference, attempt, pool)]


def test_html_and_markdown_can_be_the_same_table(pool):
    markdown = "| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |"
    html = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>x</td></tr><tr><td>2</td><td>z</td></tr></table>"
    assert words("table", markdown, html, pool) == ["row 2, column b is z, should be y"]


def test_rows_and_columns_are_matched_before_cells(pool):
    table = "| a | b | c |\n|---|---|---|\n| 1 | x | 10 |\n| 2 | y | 20 |\n| 3 | z | 30 |"
    attempt = "| c | a |\n|---|---|\n| 10 | 1 |\n| 35 | 3 |"
    assert words("table", table, attempt, pool) == [
        "columns a and c are swapped", "column b is missing", "row 2 (2) is missing",
        "row 3, column c is 35, should be 30",
    ]  # fmt: skip


def svg(inside, box="0 0 100 100"):
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{inside}</svg>'


def test_another_canvas_is_no_difference(pool):
    one = svg('<circle cx="50" cy="50" r="20" fill="red"/><rect x="10" y="10" width="10" height="10"/>')
    two = svg('<rect x="5" y="5" width="5" height="5" fill="#000"/><g><circle cx="25" cy="25" r="10" fill="#f00"/></g>',
              "0 0 50 50")  # fmt: skip
    assert words("svg", one, two, pool) == []


def test_shapes_differ_in_more_than_one_way(pool):
    one = svg('<circle cx="50" cy="50" r="20" fill="red"/><text x="10" y="90" font-size="10">Total</text>')
    two = svg(
        '<circle cx="50" cy="50" r="10" fill="blue" opacity=".5"/><text x="10" y="90" font-size="10">Totel</text>'
    )
    assert words("svg", one, two, pool) == [ "circle is half as large", "circle is blue, should be red",
        "circle is faded, opacity .5, should be 1", 'text is "Totel", should be "Total"',
    ]  # fmt: skip


@pytest.mark.parametrize("task, attempt", [("svg", "<svg"), ("svg", svg("<use/>")), ("table", "no"), ("chart", "1/0")])
def test_what_cannot_be_compared_is_none(task, attempt, pool):
    references = {"svg": svg("<rect width='9' height='9'/>"), "table": "| a |\n|---|\n| 1 |", "chart": CHART}
    assert compare(task, references[task], attempt, pool) is None


CHART = (
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(['a', 'b', 'c'], [1, 2, 3], color='tab:red')\n"
    "ax.set_title('Sales')\nplt.savefig('c.png')"
)


def test_charts_are_compared_as_drawn_not_as_written(pool):
    attempt = (
        "from matplotlib import pyplot\nimport numpy as np\nvalues = np.arange(1, 4)\npyplot.figure()\n"
        "for place, name in enumerate('abc'):\n    pass\n"
        "pyplot.bar(list('abc'), values, color='#d62728')\npyplot.title('Sales')\npyplot.show()"
    )
    assert words("chart", CHART, attempt, pool) == []
    worse = attempt.replace("arange(1, 4)", "array([1, 2, 2.5])").replace("#d62728", "green").replace("Sales", "Sale")
    assert words("chart", CHART, worse, pool) == [
        'title is "Sale", should be "Sales"', "value is 2.5, should be 3", "green, should be red",
        "ticks run from 0 to 2.5, should run from 0 to 3",
    ]  # fmt: skip


def test_a_figure_is_told_of_whatever_ends_the_program(pool):
    for end in ("plt.savefig('c.png', dpi=300)", "plt.show()", "fig.savefig('x.pdf', bbox_inches='tight')", ""):
        (axes,) = read_figure(CHART.replace("plt.savefig('c.png')", end), pool)
        assert axes["title"] == "Sales" and axes["series"][0]["y"] == [1, 2, 3]
        assert [text for _, text in axes["xticks"]] == ["a", "b", "c"]
    with pytest.raises(FigureError, match="ZeroDivisionError"):
        read_figure("1/0", pool)
