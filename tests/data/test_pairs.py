"""Pairs: images of the two programs, a critique that can be seen, and the way to disk and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from jaxerm.critique import Critique
from jaxerm.data import pairs as pairs_module
from jaxerm.data.pair_files import PairFolder, write_pairs
from jaxerm.data.pairs import BrokenSample, PairMaker, differs, make_pairs
from jaxerm.data.program import Corruption, Edit, Program
from jaxerm.data.sources import open_source

NAMES = ("drawings", "icons", "tables", "charts")
FIRST_KINDS = [["reshape"], ["move", "remove"], ["resize", "recolour"], ["add", "add", "recolour"], ["recolour"], []]


class One:
    """A source of one program."""

    task = "svg"

    def __init__(self, code, task="svg"):
        self.program = Program(task, code, "one", "")

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.program


@pytest.fixture(scope="module")
def some(pool):
    """A few pairs of every source."""
    return {
        name: [PairMaker(open_source(name), pool, seed=1).make(i) for i in range(3 if name == "charts" else 8)]
        for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_pairs_differ_where_the_ledger_says_so(some, name):
    for pair in some[name]:
        assert pair.critique == Critique(pair.task, tuple(edit.discrepancy for edit in pair.edits))
        assert differs(pair.reference, pair.prediction) == bool(pair.edits)
        assert pair.reference.std() > 0 and pair.prediction.std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_clean_pairs_are_identical(pool, name):
    pair = PairMaker(open_source(name), pool, clean_share=1.0).make(5)
    assert pair.edits == () and pair.critique.errors == ()
    assert pair.reference_code == pair.prediction_code and np.array_equal(pair.reference, pair.prediction)


def test_a_pair_is_the_same_every_time_and_another_with_another_seed(pool, some):
    again = PairMaker(open_source("icons"), pool, seed=1).make(3)
    assert (again.id, again.prediction_code, again.edits) == tuple(
        getattr(some["icons"][3], name) for name in ("id", "prediction_code", "edits")
    )
    other = [PairMaker(open_source("icons"), pool, seed=2).make(i).prediction_code for i in range(8)]
    assert other != [pair.prediction_code for pair in some["icons"]]


def test_the_first_pairs_of_drawings_stay_what_they_were(pool):
    """A model that ships was trained on this stream."""
    maker = PairMaker(open_source("drawings", max_shapes=3, seed=3), pool, seed=3)
    kinds = [[edit.kind for edit in maker.make(index).edits] for index in range(6)]
    assert kinds == FIRST_KINDS


def test_edits_that_cannot_be_seen_leave_the_ledger(pool, monkeypatch):
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">\n<rect width="4" height="4"{}/>\n</svg>'
    seen = Edit("recolour", "style_error", 2, "top left", "red, should be black")
    unseen = Edit("width", "style_error", 1, "top left", "width 1, should be 2")
    codes = [svg.format(' fill="red"'), svg.format(' stroke-width="1"')]

    def corrupt(program, rng, n_edits):
        return Corruption(program, svg.format(' fill="red" stroke-width="1"'), (seen, unseen), tuple(codes))

    monkeypatch.setattr(pairs_module, "corrupt", corrupt)
    assert PairMaker(One(svg.format("")), pool, clean_share=0).make(0).edits == (seen,)
    monkeypatch.setattr(pairs_module, "corrupt", lambda p, r, n: Corruption(p, codes[1], (unseen,), (codes[1],)))
    assert PairMaker(One(svg.format("")), pool, clean_share=0).make(0).edits == ()


def test_what_does_not_draw_is_named(pool):
    with pytest.raises(BrokenSample, match=r"one \(index 4\) does not render"):
        PairMaker(One('<svg viewBox="0 0 9 9"/>'), pool, clean_share=1.0).make(4)
    with pytest.raises(BrokenSample, match="index 3: one cannot be corrupted: .*table"):
        PairMaker(One("<table></table>", task="table"), pool).make(3)


class Some:
    """A source whose programs 1, 3, 5, ... do not render."""

    task = "svg"

    def __init__(self, broken):
        self.broken = broken

    def __len__(self):
        return 100

    def __getitem__(self, index):
        code = "<svg" if self.broken(index) else '<svg viewBox="0 0 9 9"><circle cx="4" cy="4" r="3"/></svg>'
        return Program("svg", code, f"number {index}", "")


def test_broken_samples_are_passed_over_and_named(pool):
    broken = []
    pairs = list(make_pairs(PairMaker(Some(lambda index: index % 2), pool), 4, broken))
    assert [pair.id for pair in pairs] == [f"number {index}-0-{index}" for index in (0, 2, 4, 6)]
    assert len(broken) == 3 and "number 1" in broken[0]
    with pytest.raises(BrokenSample, match="20 samples are broken and 0 whole; the last: .*number 19"):
        list(make_pairs(PairMaker(Some(lambda index: True), pool), 4))


def test_a_faint_change_is_no_difference():
    image = np.full((4, 4, 3), 100, np.uint8)
    assert not differs(image, image + np.uint8(15)) and not differs(image + np.uint8(15), image)
    changed = image.copy()
    changed[2, 3, 1] -= 16
    assert differs(image, changed) and differs(changed, image)
    assert differs(image, image[:3])


def test_written_pairs_are_read_back(some, tmp_path):
    pairs = [pair for name in NAMES for pair in some[name]]
    path = write_pairs(pairs, tmp_path / "out")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for index, (line, pair) in enumerate(zip(lines, pairs, strict=True)):
        assert (line["id"], line["idx"], line["category"]) == (pair.id, index, pair.task)
        assert not line["gt_img_path"].startswith("/") and (path.parent / line["pred_img_path"]).is_file()
        assert [set(error) for error in line["human_errors"]] == [{"type", "severity", "description"}] * len(pair.edits)
    for read, pair in zip(PairFolder(tmp_path / "out"), pairs, strict=True):
        assert np.array_equal(read.reference, pair.reference) and np.array_equal(read.prediction, pair.prediction)
        assert replace(read, reference=None, prediction=None) == replace(pair, reference=None, prediction=None)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda line: "{", "line 2: not JSON"),
        (lambda line: "[]", "line 2: a list, not an object"),
        (lambda line: line.replace('"category"', '"kind"', 1), "line 2: field 'category' is missing"),
        (lambda line: line.replace('"svg"', '"video"', 1), "line 2: category is 'video'"),
        (lambda line: line.replace("_gt.png", "_no.png"), "line 2: there is no image .*_no.png"),
        (lambda line: line.replace('"edits": [', '"edits": [3], "more": ['), "line 2: an edit has the fields"),
    ],
)
def test_broken_lists_are_named_by_file_and_line(some, tmp_path, change, message):
    path = write_pairs(some["drawings"][:2], tmp_path)
    first, second = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([first, change(second)]), encoding="utf-8")
    with pytest.raises(ValueError, match=f"pairs.jsonl, {message}") as error:
        list(PairFolder(tmp_path))
    assert "\n" not in str(error.value)


def test_a_missing_list_or_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no pairs.jsonl in"):
        list(PairFolder(tmp_path))
    with pytest.raises(ValueError, match="there is no folder"):
        list(PairFolder(tmp_path / "nowhere"))


def test_an_edit_that_another_one_covers_leaves_the_ledger(pool):
    dot, over = '<circle cx="12" cy="12" r="4"/>', '<rect width="24" height="24" fill="red"/>'
    sheet = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{}</svg>'
    one, two = (Edit(kind, "structure_error", 2, "center", f"{kind} is extra") for kind in ("dot", "sheet"))
    alone = sheet.format(dot), sheet.format(over)
    made = Corruption(
        Program("svg", sheet.format(""), "x", ""), sheet.format(dot + over), (one, two), alone, without=alone[::-1]
    )
    images = [pool.render("svg", code).image for code in (made.program.code, made.code)]
    assert PairMaker([], pool)._seen(made, *images) == ((two,), ())


def test_an_edit_that_fails_alone_breaks_the_sample(pool):
    edits = tuple(Edit(kind, "structure_error", 2, "center", kind) for kind in ("one", "two"))
    made = Corruption(Program("svg", "<svg", "x", ""), "<svg", edits, ("<svg", "<svg"))
    black = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(BrokenSample, match="x: one of its edits does not render"):
        PairMaker([], pool)._seen(made, black, black + 255)
