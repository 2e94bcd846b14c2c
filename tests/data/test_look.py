"""Boxes show where an edit shows; the contact sheet opens from disk and draws them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from jaxerm.data.look import write_sheet
from jaxerm.data.pair_files import PairFolder, write_pairs
from jaxerm.data.pairs import PairMaker
from jaxerm.data.sources import open_source
from jaxerm.data.visible import change_box, differs


def page(height=40, width=30):
    """White paper with a line of ink at rows 10, 20 and 30, each of another grey."""
    image = np.full((height, width, 3), 255, np.uint8)
    for row in (10, 20, 30):
        image[row : row + 4, 3:-3] = 6 * row
    return image


def test_the_box_of_a_change_in_place():
    image = page()
    image[21, 5:9, 1] = 0
    assert change_box(page(), image) == (5, 21, 9, 22)
    assert change_box(page(), page()) is None


def test_a_line_that_left_has_its_own_box():
    short = np.delete(page(), np.s_[18:28], axis=0)
    left, top, right, bottom = change_box(page(), short)
    # Which of the white rows around it left with it cannot be told.
    assert (left, right) == (0, 30) or right - left >= 24
    assert 14 <= top <= 20 and 24 <= bottom <= 30


def test_a_line_that_came_in_has_a_place():
    long = np.insert(page(), 17, np.zeros((4, 30, 3), np.uint8), axis=0)
    _, top, _, bottom = change_box(page(), long)
    assert bottom - top == 1 and 14 <= top <= 20


@pytest.fixture(scope="module")
def boxed(pool):
    """A few pairs of each source, with their boxes."""
    return [
        PairMaker(open_source(name), pool, seed=2, clean_share=0, boxes=True).make(index)
        for name in ("drawings", "icons", "tables")
        for index in range(6)
    ]


def test_every_edit_has_a_box_and_what_differs_lies_in_them(boxed):
    for pair in boxed:
        height, width = pair.reference.shape[:2]
        assert len(pair.boxes) == len(pair.edits)
        assert all(0 <= x < u <= width and 0 <= y < v <= height for x, y, u, v in pair.boxes)
        if pair.task == "svg":
            rest = pair.reference.copy()
            for x, y, u, v in pair.boxes:
                rest[y:v, x:u] = pair.prediction[y:v, x:u]
            assert not differs(rest, pair.prediction)


def test_boxes_change_nothing_else(boxed, pool):
    plain = [PairMaker(open_source("icons"), pool, seed=2, clean_share=0).make(index) for index in range(6)]
    assert [pair.edits for pair in plain] == [pair.edits for pair in boxed[6:12]]
    assert all(pair.boxes == () for pair in plain)


def test_boxes_are_written_and_read(boxed, tmp_path):
    path = write_pairs(boxed, tmp_path)
    assert [pair.boxes for pair in PairFolder(tmp_path)] == [pair.boxes for pair in boxed]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["boxes"] = [[1, 2]]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match="line 1: boxes should be a list"):
        list(PairFolder(tmp_path))


def test_the_sheet_needs_nothing_but_itself(boxed, tmp_path):
    write_pairs(boxed, tmp_path)
    path, count = write_sheet(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert count == len(boxed) and text.count("<article") == count
    # Nothing is fetched: every picture is inside.
    assert text.count('href="data:image/png') == 2 * count and not re.search(r'(src|href)="(?!data:)', text)
    entries = sum(len(pair.edits) for pair in boxed)
    assert text.count("<li>") == entries and text.count("<rect") >= entries
    assert "&lt;svg" in text and "<script" not in text


def test_the_sheet_can_show_one_kind(boxed, tmp_path):
    write_pairs(boxed, tmp_path)
    kind = boxed[0].edits[0].kind
    _, count = write_sheet(tmp_path, kind=kind, limit=1)
    assert count == 1
    with pytest.raises(ValueError, match="no pair with an edit of kind 'nothing'"):
        write_sheet(tmp_path, kind="nothing")


def run(monkeypatch, capsys, *arguments):
    """The command in this process: (status, what it printed, what it complained of)."""
    from jaxerm.cli import main

    monkeypatch.setattr("sys.argv", ["jaxerm", "data", *map(str, arguments)])
    status = 0
    try:
        main()
    except SystemExit as done:
        status = done.code or 0
    return status, *capsys.readouterr()


def test_the_commands(boxed, tmp_path, monkeypatch, capsys):
    write_pairs(boxed, tmp_path)
    status, out, _ = run(monkeypatch, capsys, "look", tmp_path, "--limit", 2, "--out", tmp_path / "sheet.html")
    assert status == 0 and out.startswith("2 pairs in") and (tmp_path / "sheet.html").is_file()
    status, out, _ = run(monkeypatch, capsys, "export", tmp_path, "--out", tmp_path / "p.array_record")
    assert status == 0 and out.startswith(f"{len(boxed)} pairs in")
    for arguments, words in (
        (("look", tmp_path / "nowhere"), "there is no folder"),
        (("export", tmp_path, "--out", "x.txt"), "ends in .parquet, .array_record or .jsonl"),
    ):
        status, _, err = run(monkeypatch, capsys, *arguments)
        assert status == 2 and words in err and len(err.strip().splitlines()) == 1
