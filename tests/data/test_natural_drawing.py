"""Comparing a drawing with an attempt finds what a corruption did, and says it in the same words."""

from __future__ import annotations

import numpy as np
import pytest

from jaxerm.data.corruption import corrupt
from jaxerm.data.natural.drawing import compare_drawings, match, read_shapes
from jaxerm.data.sources.drawings import Drawings, Shape, to_shapes, to_svg

ROOT = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{}</svg>'
RED = Shape("square", "red", "medium", 0)


def corruptions(n):
    source = Drawings(seed=8)
    for index in range(n):
        yield corrupt(source[index], np.random.Generator(np.random.Philox(key=[8, index])), index % 5)


def severity(edits):
    return sum(edit.severity for edit in edits)


def share_looks(corruption):
    """Whether a shape has its kind or colour in common with another than the one it was made from."""
    one, two = to_shapes(corruption.program.code), to_shapes(corruption.code)

    def relatives(shape):
        return sum(shape.noun == known.noun or shape.colour == known.colour for known in one)

    changed = sum(edit.kind not in ("add", "remove") for edit in corruption.edits)
    return any(relatives(shape) > 1 for shape in one) or sum(relatives(s) for s in two if s not in one) != changed


def test_a_corruption_is_found_again():
    alike = 0
    for corruption in corruptions(500):
        edits = compare_drawings(corruption.program.code, corruption.code)
        # Two mistakes may look like one that is smaller: nobody who sees the pictures could know.
        assert severity(edits) <= severity(corruption.edits)
        if not share_looks(corruption):
            assert edits == corruption.edits
            alike += 1
    assert alike >= 150


def test_nearly_all_entries_are_the_corruption_s():
    pairs = [(set(compare_drawings(c.program.code, c.code)), set(c.edits)) for c in corruptions(500)]
    hits = sum(len(found & true) for found, true in pairs)
    assert 2 * hits / sum(len(found) + len(true) for found, true in pairs) > 0.95


def test_the_same_drawing_has_no_entries():
    source = Drawings(seed=9)
    for index in range(100):
        assert compare_drawings(source[index].code, source[index].code) == ()


def test_every_attribute_that_differs_is_an_entry():
    new = Shape("letter", "blue", "large", 1, "B")
    edits = compare_drawings(to_svg([Shape("letter", "red", "small", 0, "A")]), to_svg([new]))
    # All of it together would be worse than another letter: it is another letter.
    assert [edit.description for edit in edits] == ["red letter A is missing", "blue letter B is extra"]
    edits = compare_drawings(to_svg([RED]), to_svg([Shape("circle", "blue", "large", 0)]))
    assert [edit.description for edit in edits] == ["red square is missing", "blue circle is extra"]
    edits = compare_drawings(to_svg([RED]), to_svg([Shape("letter", "red", "large", 0, "A")]))
    assert [(edit.kind, edit.description) for edit in edits] == [
        ("reshape", "letter A, should be square"),
        ("resize", "large, should be medium"),
    ]


def test_shapes_that_changed_places_have_moved():
    """Matching in reading order would call them four mistakes."""
    a, b = Shape("circle", "red", "small", 0), Shape("square", "blue", "large", 1)
    swapped = [Shape("circle", "red", "small", 1), Shape("square", "blue", "large", 0)]
    assert [(old.kind, new.kind) for old, new in match([a, b], swapped)] == [("circle", "circle"), ("square", "square")]
    edits = compare_drawings(to_svg([a, b]), to_svg(swapped))
    assert [edit.description for edit in edits] == ["red circle is at top", "blue square is at top left"]


@pytest.mark.parametrize(
    "element, shape",
    [
        ('<rect x="4" y="6" width="15.5" height="14" fill="#fe0000"/>', RED),
        ('<g fill="red"><polygon points="5 5 19 5 19 19 5 19"/></g>', RED),
        ('<rect width="14" height="14" fill="red" transform="translate(5,5)"/>', RED),
        ('<circle cx="30" cy="33" r="8.5"/>', Shape("circle", "black", "large", 4)),
        ('<polygon points="52,5 59,19 45,19" fill="#10e0f0"/>', Shape("triangle", "cyan", "medium", 2)),
        (
            '<text x="52" y="57" font-size="15" text-anchor="middle" fill="green"> Z </text>',
            Shape("letter", "green", "small", 8, "Z"),
        ),
    ],
)
def test_an_attempt_need_not_be_canonical(element, shape):
    assert read_shapes(ROOT.format(element)) == [shape]
    assert read_shapes(ROOT.format(element * 2)) == [shape]


@pytest.mark.parametrize(
    "element",
    [
        '<path d="M0 0H9V9"/>',
        '<ellipse cx="12" cy="12" rx="7" ry="7"/>',
        '<use href="#a"/>',
        '<circle cx="22" cy="12" r="7"/>',
        '<circle cx="12" cy="12" r="2"/>',
        '<circle cx="12" cy="12" r="7" fill="none" stroke="red"/>',
        '<circle cx="12" cy="12" r="7" fill="url(#a)"/>',
        '<circle cx="12" cy="12" r="7" opacity="0.5"/>',
        '<rect x="3" y="7" width="18" height="10"/>',
        '<polygon points="12,19 19,5 5,5"/>',
        '<polygon points="12,12"/>',
        '<text x="12" y="19" font-size="21">AB</text>',
        '<circle cx="12" cy="12"',
    ],
)
def test_what_has_no_word_makes_an_attempt_unreadable(element):
    good = '<rect x="5" y="5" width="14" height="14" fill="red"/>'
    assert read_shapes(ROOT.format(good + element)) is None
    assert compare_drawings(to_svg([RED]), ROOT.format(good + element)) is None


def test_the_reference_must_be_a_drawing():
    with pytest.raises(ValueError, match="not a generated drawing"):
        compare_drawings(ROOT.format("<path/>"), to_svg([RED]))
