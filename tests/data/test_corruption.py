"""What holds for the corruption of every source: determinism, distinct edits, every kind, category and severity."""

from __future__ import annotations

import numpy as np
import pytest

from jaxerm.critique import SCHEMAS, SEVERITIES
from jaxerm.data.corruption import corrupt
from jaxerm.data.program import Program
from jaxerm.data.sources import open_source
from jaxerm.data.sources.drawings import to_shapes

NAMES = ("drawings", "icons", "tables", "charts")
KINDS = {
    "drawings": {"remove", "add", "move", "reshape", "resize", "recolour", "reletter"},
    "icons": {
        "remove", "add", "move", "scale", "mirror", "rotate", "replace", "recolour", "fill", "width", "fade", "dash",
        "repeat", "corner", "ends", "paper", "letter", "zoom",
    },
    "tables": {
        "digit", "sign", "point", "misspell", "replace", "header", "empty", "remove_row", "repeat_row", "swap_rows",
        "remove_column", "swap_columns", "round", "transpose", "unit", "cut", "case", "swap_cells", "shift_row",
        "shift_column", "add_row",
    },
    "charts": {
        "value", "remove_point", "label", "kind", "remove_series", "colour", "marker", "dash", "bins", "start_angle",
        "remove_title", "remove_x", "remove_y", "rewrite_title", "rewrite_x", "rewrite_y", "limits", "grid", "legend",
        "log", "invert", "no_ticks", "turn_ticks", "face", "frame", "title_size", "title_place", "line_width",
        "bar_width", "fade", "add_series", "swap_values", "legend_entry", "extra_subplot", "remove_subplot", "arrange",
        "share", "swap_subplots", "rescale", "bubble_size", "cell", "colour_bar", "colour_map", "error_size", "group",
        "legend_over", "legend_place", "levels", "move_annotation", "remove_annotation", "remove_group", "remove_z",
        "rewrite_annotation", "rewrite_z", "tick_size", "title_over", "view",
    },
}  # fmt: skip


def rng(*key):
    return np.random.Generator(np.random.Philox(key=list(key)))


def corruptions(name, n, edits=lambda index: 1 + index % 3):
    source = open_source(name)
    return [corrupt(source[index % len(source)], rng(3, index), edits(index)) for index in range(n)]


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_corruption(name):
    one, two = corruptions(name, 30), corruptions(name, 30)
    assert [(c.code, c.edits, c.alone) for c in one] == [(c.code, c.edits, c.alone) for c in two]


@pytest.mark.parametrize("name", NAMES)
def test_no_edit_leaves_the_code_as_it_is(name):
    for corruption in corruptions(name, 30, lambda index: 0):
        assert corruption.code == corruption.program.code and corruption.edits == ()


@pytest.mark.parametrize("name", NAMES)
def test_there_are_as_many_edits_as_asked_for_and_the_code_changes(name):
    found = corruptions(name, 150)
    # An axis that comes to other ticks is an entry and no edit.
    counts = [sum(edit.kind != "rescale" for edit in c.edits) for c in found]
    # Now and then nothing of what was drawn by lot applies to a small chart: then nothing is said of it either.
    unchanged = [c for c in found if c.code == c.program.code]
    assert len(unchanged) <= 3 and all(c.edits == () for c in unchanged)
    assert all(count <= 1 + index % 3 for index, count in enumerate(counts))
    assert sum(count == 1 + index % 3 for index, count in enumerate(counts)) >= 140


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_and_category_is_reached_and_follows_the_schema(name):
    found = corruptions(name, 700)
    edits = [edit for corruption in found for edit in corruption.edits]
    schema = SCHEMAS[found[0].program.task]
    assert {edit.kind for edit in edits} == KINDS[name]
    assert {edit.category for edit in edits} == set(schema.categories)
    assert {edit.severity for edit in edits} == set(SEVERITIES)
    assert all((edit.location is not None) == schema.has_location and edit.description for edit in edits)


@pytest.mark.parametrize("name", NAMES)
def test_entries_of_one_ledger_are_different(name):
    for corruption in corruptions(name, 200):
        assert len({(edit.location, edit.description) for edit in corruption.edits}) == len(corruption.edits)


@pytest.mark.parametrize("name", ["icons", "tables"])
def test_each_edit_alone_is_one_change(name):
    for corruption in corruptions(name, 100):
        assert len(corruption.alone) == len(corruption.edits)
        assert all(code != corruption.program.code for code in corruption.alone)
        if len(corruption.edits) == 1:
            assert corruption.alone[0] == corruption.code


def test_corrupted_drawings_are_drawings():
    for corruption in corruptions("drawings", 150):
        assert to_shapes(corruption.code)


@pytest.mark.parametrize("task, code", [("svg", "<svg"), ("table", "words"), ("chart", "x ="), ("chart", "x = 1")])
def test_what_cannot_be_read_is_named(task, code):
    with pytest.raises(ValueError, match="my-program cannot be corrupted"):
        corrupt(Program(task, code, "my-program", ""), rng(0, 0), 1)
