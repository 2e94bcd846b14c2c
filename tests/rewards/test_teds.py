"""TEDS: the exact edit distance, the normalisation of OmniDocBench, and what a reward makes of it."""

import numpy as np
import pytest

from jaxerm.rewards import Attempt
from jaxerm.rewards import teds as module
from jaxerm.rewards.teds import Teds, TedsStructure, table_tree, teds
from jaxerm.rewards.tree_distance import APTED, Node, _Costs, tree_distance

WHITE = np.full((8, 8, 3), 255, np.uint8)
TABLE = "<table><tr><td>a</td><td>bc</td></tr><tr><td>d</td><td>e</td></tr></table>"


def random_table(rng):
    def leaf(tag):
        spans = (int(rng.choice([1, 1, 2])), 1)
        return Node(tag, spans, "".join(rng.choice(list("ab"), rng.integers(0, 4))))

    def child():
        kind = rng.random()
        if kind < 0.1:
            return Node("caption")
        if kind < 0.2:
            return leaf("td")
        return Node("tr", children=[leaf("td") for _ in range(rng.integers(0, 4))])

    return Node("table", children=[child() for _ in range(rng.integers(0, 5))])


def test_the_distance_of_plain_tables_is_the_one_of_apted():
    rng = np.random.default_rng(0)
    for _ in range(150):
        one, two = random_table(rng), random_table(rng)
        expected = APTED(one, two, _Costs()).compute_edit_distance()
        assert tree_distance(one, two) == pytest.approx(expected, abs=1e-9), (one, two)


def test_a_table_that_is_no_grid_is_compared_all_the_same():
    deep = Node("table", children=[Node("caption", children=[Node("b")]), Node("tr", children=[Node("td")])])
    assert tree_distance(deep, deep) == 0
    assert tree_distance(deep, Node("table", children=[Node("tr", children=[Node("td")])])) == 2


def test_equal_tables_are_one_and_no_table_is_nothing():
    assert teds(TABLE, TABLE) == 1.0
    assert teds("there is none", TABLE) == 0.0
    with pytest.raises(ValueError, match="no table to compare with"):
        teds(TABLE, "words")


@pytest.mark.parametrize(
    "prediction, expected",
    [
        (TABLE.replace("bc", "bd"), 1 - 0.5 / 6),  # half of a cell of six elements
        (TABLE.replace("<td>e</td>", ""), 1 - 1 / 6),  # one cell less
        (TABLE.replace("<tr><td>d</td><td>e</td></tr>", ""), 1 - 3 / 6),  # a row and its cells
        (TABLE.replace("<td>a</td>", '<td colspan="2">a</td>'), 1 - 1 / 6),
        (TABLE.replace("bc", "<b>bc</b>"), 1 - 0.5 / 7),  # two tags beside two characters; the tag is an element
    ],
)
def test_each_difference_costs_what_the_paper_says(prediction, expected):
    assert teds(prediction, TABLE) == pytest.approx(expected)


@pytest.mark.parametrize(
    "other",
    [
        TABLE.replace("td>", "th>"),
        TABLE.replace("<table>", '<table style="width:9" border="1"><thead>').replace("</table>", "</thead></table>"),
        TABLE.replace("bc", " <span> b</span>c \n"),
        TABLE.replace("<tr>", "\n <tr class='x'>\n "),
        TABLE.replace("bc", "<p>b<sup>c</sup></p>"),
        TABLE.replace("<td>a", "<td>\uff41"),  # a full-width letter
        "| a | bc |\n|---|---|\n| d | e |",
        "Here it is:\n\n" + TABLE,
    ],
)
def test_what_is_only_written_differently_is_equal(other):
    assert teds(other, TABLE) == 1.0


def test_structure_alone_sees_rows_cells_and_spans_and_no_words():
    words = TABLE.replace("bc", "xy").replace("d<", "q<")
    assert teds(words, TABLE) < 1 and teds(words, TABLE, structure_only=True) == 1.0
    fewer = TABLE.replace("<td>e</td>", "")
    assert teds(fewer, TABLE, structure_only=True) == pytest.approx(1 - 1 / 6)


def attempt(answer, /, **columns):
    return Attempt("table", WHITE, "", columns=columns, code=answer)


def test_the_reward_tells_the_policys_faults_from_a_row_without_a_table():
    got = Teds()([attempt(TABLE, code=TABLE), attempt("words", code=TABLE), attempt(None, code=TABLE), attempt(TABLE)])
    assert [(r.status, r.value) for r in got] == [
        ("scored", 1.0), ("failed", 0.0), ("failed", 0.0), ("unscored", None),
    ]  # fmt: skip
    [other] = TedsStructure(column="html")([attempt(TABLE, html=TABLE.replace("bc", "xy"))])
    assert other.value == 1.0


def test_a_table_beyond_all_measure_is_the_policys_fault_or_the_rows(monkeypatch):
    monkeypatch.setattr(module, "MAX_NODES", 5)
    small = "<table><tr><td>a</td></tr></table>"
    got = Teds()([attempt(TABLE, code=small), attempt(small, code=TABLE)])
    assert [result.status for result in got] == ["failed", "unscored"] and "6 elements" in got[0].reason


def test_inline_tags_count_as_elements():
    assert table_tree(TABLE).size == 6 and table_tree(TABLE.replace("bc", "<b>b</b><i>c</i>")).size == 8
