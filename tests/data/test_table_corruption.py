"""The ledger of a table says what was done to its grid; what was not touched is written as it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

from jaxerm.data.corruption.grid import read_grid
from jaxerm.data.corruption.table import corrupt_table, is_number
from jaxerm.data.sources import open_source

ODD = [
    "<table border=1><caption>Cars</caption><thead>\n <tr><th>a<th>b\n <tbody><tr><td>1<td><b>2</b>\n"
    "<tr><td>3<td>4</table>",
    "a | b\n--|:-:\n1 | 2\n3 | x\\|y\n\nAnd text.",
    "# Title\n\n|a|b|\n|-|-|\n|1||\n",
    '<p>x</p><table class="t"><tr><td colspan="2">a &amp; b</td></tr>\n<tr><td>1</td><td>2</td></tr></table>',
]


def texts(code):
    grid = read_grid(code)
    header = [cell.text for cell in grid.header.cells] if grid.header else []
    return header, [[cell.text for cell in row.cells] for row in grid.rows]


@pytest.mark.parametrize("code", ODD)
def test_what_is_read_is_written_the_same(code):
    assert read_grid(code).write() == code


def test_odd_tables_are_read_as_they_look():
    assert texts(ODD[0]) == (["a", "b"], [["1", "2"], ["3", "4"]])
    assert texts(ODD[1]) == (["a", "b"], [["1", "2"], ["3", "x|y"]])
    assert texts(ODD[2]) == (["a", "b"], [["1", ""]])
    assert texts(ODD[3]) == ([], [["a & b"], ["1", "2"]])


@pytest.mark.parametrize(
    "code", ["words", "<table><tr><td>1<table><tr><td>2</table></table>", "| a |\n| --- |", "<table></table>"]
)
def test_what_is_no_single_table_is_an_error(code):
    with pytest.raises(ValueError, match="table"):
        read_grid(code)


@pytest.mark.parametrize(
    "code, start, end",
    [
        (ODD[0], "<table border=1><caption>Cars</caption><thead>\n <tr><th>", "</table>"),
        (ODD[1], "", "\n\nAnd text."),
        (ODD[2], "# Title\n\n|", "|\n"),
        (ODD[3], '<p>x</p><table class="t"><tr><td', "</table>"),
    ],
)
def test_odd_tables_can_be_corrupted_and_still_be_read(code, start, end):
    for seed in range(40):
        changed, edits, _ = corrupt_table(code, np.random.Generator(np.random.Philox(key=[1, seed])), 2)
        assert edits and changed != code and texts(changed) != texts(code)
        assert changed.startswith(start) and changed.endswith(end)


def place(header, words):
    """Row and column, from 0, of ``row 2, column price``."""
    row, column = re.fullmatch(r"row (\d+), column (.+)", words).groups()
    return int(row) - 1, header.index(column) if column in header else int(column) - 1


def undone(edit, before, after):
    """What the table would be after the edit, by the words of the ledger alone."""
    header, rows = list(before[0]), [list(row) for row in before[1]]
    text = edit.description
    if match := re.fullmatch(r"header (\d+) is (.*), should be (.*)", text):
        column = int(match.group(1)) - 1
        assert header[column] == match.group(3)
        header[column] = match.group(2)
    elif match := re.fullmatch(r"(row \d+, column .+?) is (.*), should be (.*)", text):
        row, column = place(header, match.group(1))
        assert rows[row][column] == match.group(3)
        rows[row][column] = "" if match.group(2) == "empty" else match.group(2)
    elif match := re.fullmatch(r"row (\d+) \((.*)\) is (missing|repeated)", text):
        row = int(match.group(1)) - 1
        assert rows[row][0] == match.group(2)
        rows[row : row + 1] = [rows[row]] * (2 if match.group(3) == "repeated" else 0)
    elif match := re.fullmatch(r"rows (\d+) and (\d+) are swapped", text):
        one, two = (int(number) - 1 for number in match.groups())
        rows[one], rows[two] = rows[two], rows[one]
    elif match := re.fullmatch(r"column (.*) is missing", text):
        column = header.index(match.group(1))
        for row in (header, *rows):
            del row[column]
    elif match := re.fullmatch(r"row (\d+): the cells of columns (.*) and (.*) are swapped", text):
        row, one, two = rows[int(match.group(1)) - 1], header.index(match.group(2)), header.index(match.group(3))
        row[one], row[two] = row[two], row[one]
    elif match := re.fullmatch(r"row (\d+) .* is shifted right by one column, its last cell comes first", text):
        row = rows[int(match.group(1)) - 1]
        row.insert(0, row.pop())
    elif match := re.fullmatch(r"column (.*) is shifted down by one row, its last cell comes first", text):
        column = header.index(match.group(1))
        cells = [row[column] for row in rows]
        for row, cell in zip(rows, [cells[-1], *cells[:-1]], strict=True):
            row[column] = cell
    elif match := re.fullmatch(r"a row \((.*)\) is extra under row (\d+)", text):
        place_of = int(match.group(2))
        made = after[1][place_of]
        assert made[0] == match.group(1) and made not in rows
        rows.insert(place_of, made)
    else:
        one, two = (header.index(name) for name in re.fullmatch(r"columns (.*) and (.*) are swapped", text).groups())
        for row in (header, *rows):
            row[one], row[two] = row[two], row[one]
    return header, rows


def test_the_words_of_each_edit_alone_give_its_table():
    tables = open_source("tables")
    seen = set()
    for index in range(500):
        code = tables[index].code
        _, edits, alone = corrupt_table(code, np.random.Generator(np.random.Philox(key=[6, index])), 1 + index % 3)
        for edit, changed in zip(edits, alone, strict=True):
            seen.add(edit.kind)
            assert undone(edit, texts(code), texts(changed)) == texts(changed), edit
            assert ("<table>" in changed) == ("<table>" in code)
    assert len(seen) == 21


def test_numbers_and_texts_have_their_categories_and_severities():
    tables = open_source("tables")
    for index in range(400):
        _, edits, _ = corrupt_table(tables[index].code, np.random.Generator(np.random.Philox(key=[7, index])), 1)
        for edit in edits:
            match = re.fullmatch(r"row \d+, column .+? is (.*), should be (.*)", edit.description)
            if not match:
                assert edit.category == ("text_error" if edit.kind == "header" else "layout_error")
                continue
            new, old = match.groups()
            assert edit.category == ("numeric_error" if is_number(old) else "text_error")
            if is_number(new) and is_number(old):
                number, was = float(new.rstrip("%")), float(old.rstrip("%"))
                change = abs(number - was) / abs(was) if was else 9
                assert edit.severity == (2 if change == 0 else 1 if change < 0.1 else 2 if change < 0.8 else 3)


def test_edits_of_one_table_hold_together():
    code = "| n | a | b |\n| --- | --- | --- |\n" + "\n".join(f"| r{row} | {row}1 | {row}2 |" for row in range(1, 5))
    for seed in range(200):
        changed, edits, _ = corrupt_table(code, np.random.Generator(np.random.Philox(key=[8, seed])), 3)
        header, rows = texts(changed)
        kinds = [edit.kind for edit in edits]
        assert len(rows) == 4 + bool({"repeat_row", "add_row"} & set(kinds)) - ("remove_row" in kinds)
        assert len(header) == 3 - ("remove_column" in kinds)
        shown = {cell for row in (header, *rows) for cell in row}
        for edit in edits:
            if match := re.fullmatch(r".* is (.+), should be (.*)", edit.description):
                # A cell of the column that is missing cannot be there: such edits exclude each other.
                assert match.group(1) == "empty" or match.group(1) in shown
