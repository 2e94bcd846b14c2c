"""The ledger of an attempt at a generated drawing: its shapes are read leniently and matched with the reference's."""

from __future__ import annotations

import re

import numpy as np
from PIL import ImageColor
from scipy.optimize import linear_sum_assignment

from jaxerm.data.corruption.drawing import changes, extra, missing
from jaxerm.data.program import Edit
from jaxerm.data.sources.drawings import CENTRES, COLOURS, SIZES, Shape, to_shapes
from jaxerm.data.svg_items import Item, items
from jaxerm.data.svg_tree import read_svg

_READ = {"svg", "g", "circle", "rect", "polygon", "text"}
_PLAIN = {"opacity": "1", "fill-opacity": "1", "stroke": "none", "rx": "0", "ry": "0", "font-weight": "normal"}
"""Whatever else these say would be seen, and there is no word for it."""
_NEAR = 5.0
"""How far, of 64, the middle of a shape may be from that of its cell: a quarter of the way to the next."""
_OUTLINES = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1), (1, 0), (0, 1), (-1, 0)),
}
"""Corners of a shape in the square it fills, from -1 to 1."""


def compare_drawings(reference: str, attempt: str) -> tuple[Edit, ...] | None:
    """What differs between a drawing and an attempt at it, in the words of `corrupt_drawing`.

    Shapes are matched with shapes so that the severities add up to as little as they can, and an entry is made for
    each attribute in which two matched shapes differ.

    Args:
      reference: a drawing in the canonical form.
      attempt: any code.

    Returns:
      The ledger in reading order of the reference's locations; None if the attempt is not a drawing: broken, or with
      an element that is none of the shapes, or far from every cell or size.

    Raises:
      ValueError: the reference is not in the canonical form.
    """
    wanted = to_shapes(reference)
    if wanted is None:
        raise ValueError(f"the reference is not a generated drawing: {reference[:60]!r}")
    found = read_shapes(attempt)
    if found is None:
        return None
    edits: list[tuple[int, Edit]] = []
    for old, new in match(wanted, found):
        if old is None:
            edits.append((new.cell, extra(new)))
        elif new is None:
            edits.append((old.cell, missing(old)))
        else:
            edits += [(old.cell, edit) for edit in changes(old, new)]
    return tuple(edit for _, edit in sorted(edits, key=lambda entry: entry[0]))


def match(wanted: list[Shape], found: list[Shape]) -> list[tuple[Shape | None, Shape | None]]:
    """Pairs the shapes of two drawings so that the severities of what differs add up to the least.

    Where that leaves a choice, a shape stays in its cell, and one that both moved and changed is another shape.

    Returns:
      (wanted, found) for each shape of either; None where it has no partner.
    """
    n, m = len(wanted), len(found)
    # The n x m block pairs shapes; beyond it each shape has a place of its own to stay alone; the rest costs nothing.
    cost = np.zeros((n + m, n + m))
    cost[:n, m:] = cost[n:, :m] = np.inf
    for i, old in enumerate(wanted):
        cost[i, m + i] = missing(old).severity + 0.01
        for j, new in enumerate(found):
            cost[i, j] = sum(edit.severity for edit in changes(old, new)) + 0.02 * (old.cell != new.cell)
    for j, new in enumerate(found):
        cost[n + j, j] = extra(new).severity
    pairs = []
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if i < n or j < m:
            pairs.append((wanted[i] if i < n else None, found[j] if j < m else None))
    return pairs


def read_shapes(code: str) -> list[Shape] | None:
    """The shapes of a drawing that need not be in the canonical form; None if it holds anything else.

    Any circle, rect, polygon or text, drawn plainly, with its middle near that of a cell: it takes the nearest cell,
    size and colour. A shape that is drawn twice is there once.
    """
    try:
        root = read_svg(code)
        if any(element.tag not in _READ for element in root.iter()):
            return None
        shapes = [_shape(item) for item in items(root)]
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return None if None in shapes else list(dict.fromkeys(shapes))


def _shape(item: Item) -> Shape | None:
    x, y, width, height = item.box
    scale = 64 / max(width, height)
    left, right = ((value - x) * scale for value in item.bounds[::2])
    top, bottom = ((value - y) * scale for value in item.bounds[1::2])
    column, away_x = _nearest((left + right) / 2, CENTRES)
    row, away_y = _nearest((top + bottom) / 2, CENTRES)
    kind, letter = _kind(item)
    # Letters are narrow: their height is what they are called by.
    half = (bottom - top) / 2 if kind == "letter" else max(right - left, bottom - top) / 2
    size, away = _nearest(half, tuple(SIZES.values()))
    # Sizes are two apart: whatever is between them, or a little beyond the last, is near one.
    lopsided = kind != "letter" and abs((right - left) - (bottom - top)) > 2
    plain = all(item.get(name, value) in (value, "") for name, value in _PLAIN.items())
    colour = _colour(item.get("fill", "black"))
    if not kind or not colour or not plain or lopsided or max(away_x, away_y) > _NEAR or away > 1.5:
        return None
    return Shape(kind, colour, list(SIZES)[size], row * 3 + column, letter)


def _nearest(value: float, values: tuple[int, ...]) -> tuple[int, float]:
    """Place of the nearest of some values, and how far it is."""
    place = min(range(len(values)), key=lambda at: abs(value - values[at]))
    return place, abs(value - values[place])


def _kind(item: Item) -> tuple[str, str]:
    """Kind and letter; two empty strings if the element is none of them."""
    tag = item.element.tag
    if tag == "circle":
        return "circle", ""
    if tag == "text":
        text = "".join(item.element.itertext()).strip()
        return ("letter", text) if re.fullmatch(r"[^\W_]", text) else ("", "")
    left, top, right, bottom = item.bounds
    if right <= left or bottom <= top:
        return "", ""
    points = np.array(
        [(2 * (u - left) / (right - left) - 1, 2 * (v - top) / (bottom - top) - 1) for u, v in item.points]
    )
    for kind, corners in _OUTLINES.items():
        away = np.abs(points[:, None] - np.array(corners)[None]).max(axis=-1)
        # Every point is at a corner and every corner has a point.
        if max(away.min(axis=0).max(), away.min(axis=1).max()) < 0.3:
            return kind, ""
    return "", ""


def _colour(name: str) -> str | None:
    """The nearest of the named colours; None where nothing plain is painted."""
    if name in COLOURS:
        return name
    try:
        rgb = np.array(ImageColor.getrgb(name)[:3], int)
    except ValueError:
        return None
    return min(COLOURS, key=lambda known: int(((rgb - ImageColor.getrgb(known)) ** 2).sum()))
