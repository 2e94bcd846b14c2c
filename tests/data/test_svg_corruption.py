"""The ledger of an SVG says what was done to its tree."""

from __future__ import annotations

import re

import numpy as np
import pytest

from jaxerm.data.corruption.svg import corrupt_svg
from jaxerm.data.corruption.svg_words import noun
from jaxerm.data.sources import open_source
from jaxerm.data.svg_items import items
from jaxerm.data.svg_tree import compact_svg, read_svg

TEXTS = compact_svg(
    '<svg viewBox="0 0 60 60"><rect x="2" y="2" width="16" height="16" fill="red"/>'
    '<text x="30" y="32" font-size="8" text-anchor="middle">Total</text><circle cx="50" cy="50" r="8"/></svg>'
)


def single_edits(n=600):
    icons = open_source("icons")
    for index in range(n):
        code = icons[index].code
        changed, edits, *_ = corrupt_svg(code, np.random.Generator(np.random.Philox(key=[9, index])), 1)
        for edit in edits:
            yield edit, items(read_svg(code)), items(read_svg(changed))


def changed_item(before, after):
    """The one pair of shapes that is not the same any more, where none is gone or added."""
    pairs = zip(before, after, strict=True)
    (pair,) = [p for p in pairs if (p[0].element.tag, p[0].element.attrib) != (p[1].element.tag, p[1].element.attrib)]
    return pair


def middle(item):
    left, top, right, bottom = item.bounds
    return (left + right) / 2, (top + bottom) / 2


def test_single_edits_do_to_one_shape_what_they_say():
    seen = set()
    for edit, before, after in single_edits():
        seen.add(edit.kind)
        text = edit.description
        if edit.kind == "remove":
            assert len(after) == len(before) - 1
            kept = [item.element.attrib for item in after]
            (gone,) = [item for item in before if item.element.attrib not in kept]
            assert edit.location == gone.location and text == f"{noun(gone)} is missing"
            continue
        if edit.kind == "add":
            assert len(after) == len(before) + 1
            assert edit.location == after[-1].location
            colour = after[-1].element.get("stroke") or after[-1].element.get("fill")
            assert text == f"{colour} {noun(after[-1])} is extra"
            continue
        if edit.kind == "letter":
            assert after[-1].element.text in text and edit.location == after[-1].location
            continue
        if edit.kind == "paper":
            assert after[0].element.tag == "rect" and after[0].element.get("fill") in text
            continue
        if edit.kind == "zoom":
            assert (after[0].box[2] > before[0].box[2]) == ("smaller" in text)
            continue
        if edit.kind == "repeat":
            (place,) = [
                at
                for at, item in enumerate(after)
                if edit.location == item.location
                and any(after[at + 1 : at + 2])
                and noun(after[at + 1]) == noun(item)
                and len(after) == len(before) + 1
                and [i.element.attrib for i in after[: at + 1] + after[at + 2 :]] == [i.element.attrib for i in before]
            ]
            (x, y), (u, v) = middle(after[place]), middle(after[place + 1])
            way = {"right": u > x, "left": u < x, "below": v > y, "above": v < y}
            assert all(there for word, there in way.items() if word in text.rsplit("the second", 1)[1])
            continue
        old, new = changed_item(before, after)
        assert edit.location == old.location and noun(old) in text
        (x, y), (u, v) = middle(old), middle(new)
        get = new.element.get
        if edit.kind == "move":
            way = text.rsplit(" ", 1)[1]
            along = {"right": u - x, "left": x - u, "down": v - y, "up": y - v}
            assert along[way] > 1 and sum(abs(value) > 0.05 for value in (u - x, v - y)) == 1
            share = along[way] / 24
            assert edit.severity == (1 if share < 0.15 else 2 if share < 0.25 else 3)
        elif edit.kind == "scale":
            assert (new.size > old.size) == ("larger" in text or "twice" in text)
            assert ("half" in text) == (new.size == pytest.approx(old.size / 2, abs=0.01))
        elif edit.kind in ("mirror", "rotate"):
            assert (u, v) == pytest.approx((x, y), abs=0.02) and new.points != old.points
        elif edit.kind == "replace":
            assert text == f"{noun(new)}, should be {noun(old)}" and new.bounds == pytest.approx(old.bounds, abs=0.01)
        elif edit.kind == "recolour":
            assert text.endswith(f"{get('stroke') or get('fill')}, should be {old.get('stroke', 'none')}") or (
                text.endswith(f"{get('fill')}, should be {old.get('fill', 'black')}")
            )
        elif edit.kind == "fill":
            assert f"filled {get('fill')}" in text
        elif edit.kind == "width":
            assert float(re.search(r"width ([\d.]+)", text).group(1)) == float(get("stroke-width"))
            assert ("thick" in text) == (float(get("stroke-width")) > 2)
        elif edit.kind == "fade":
            assert f"opacity {get('opacity')}," in text
        else:
            names = {"dash": "stroke-dasharray", "ends": "stroke-linecap", "corner": "rx"}
            assert (get(names[edit.kind]) is not None) == ("corners" not in text or "are round" in text)
    assert len(seen) == 18


def test_text_is_misspelt_and_quoted():
    found = set()
    for seed in range(60):
        changed, edits, *_ = corrupt_svg(TEXTS, np.random.Generator(np.random.Philox(key=[1, seed])), 1)
        for edit in edits:
            if edit.kind == "text":
                new, old = re.fullmatch(r'text is "(.*)", should be "(.*)"', edit.description).groups()
                assert old == "Total" and f">{new}</text>" in changed and edit.category == "text_symbol_error"
                assert edit.location == "center"
                found.add(new)
    assert len(found) > 5 and "Total" not in found


def test_the_last_shape_is_never_removed():
    code = compact_svg('<svg viewBox="0 0 9 9"><circle cx="4" cy="4" r="3"/></svg>')
    for seed in range(80):
        changed, edits, *_ = corrupt_svg(code, np.random.Generator(np.random.Philox(key=[2, seed])), 3)
        assert items(read_svg(changed)) and "remove" not in {edit.kind for edit in edits}


def test_larger_shapes_weigh_more_when_they_are_missing():
    code = compact_svg(
        '<svg viewBox="0 0 90 90"><circle cx="61" cy="61" r="28"/><circle cx="20" cy="20" r="9"/>'
        '<circle cx="80" cy="10" r="2"/></svg>'
    )
    severity = {}
    for seed in range(200):
        _, edits, *_ = corrupt_svg(code, np.random.Generator(np.random.Philox(key=[4, seed])), 1)
        severity |= {edit.location: edit.severity for edit in edits if edit.kind == "remove"}
    assert severity == {"bottom right": 3, "top left": 2, "top right": 1}
