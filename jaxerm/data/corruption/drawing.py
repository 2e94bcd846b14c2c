"""Edits of generated drawings: from one canonical drawing to another, so that a reviser can come back to the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jaxerm.data.program import Edit
from jaxerm.data.sources.drawings import COLOURS, KINDS, LETTERS, SIZES, Shape, random_shape

Change = tuple[Shape | None, Edit]


def _other(rng: np.random.Generator, values, current: str) -> str:
    values = [value for value in values if value != current]
    return values[rng.integers(len(values))]


def _remove(shape: Shape, rng, free) -> Change:
    return None, Edit("remove", "structure_error", 3, shape.location, f"{shape.words} is missing")


def _move(shape: Shape, rng, free) -> Change | None:
    if not free:
        return None
    cell = int(rng.choice(free))
    moved = replace(shape, cell=cell)
    steps = max(abs(cell // 3 - shape.cell // 3), abs(cell % 3 - shape.cell % 3))
    text = f"{shape.words} is at {moved.location}"
    return moved, Edit("move", "structure_error", 1 + steps, shape.location, text)


def _reshape(shape: Shape, rng, free) -> Change | None:
    if shape.kind == "letter":
        return None
    kind = _other(rng, [kind for kind in KINDS if kind != "letter"], shape.kind)
    text = f"{kind}, should be {shape.kind}"
    return replace(shape, kind=kind), Edit("reshape", "shape_error", 3, shape.location, text)


def _resize(shape: Shape, rng, free) -> Change:
    size = _other(rng, SIZES, shape.size)
    # Small against large can be seen at once; neighbours differ by two pixels of sixty-four on each side.
    severity = 2 if {size, shape.size} == {"small", "large"} else 1
    text = f"{size}, should be {shape.size}"
    return replace(shape, size=size), Edit("resize", "shape_error", severity, shape.location, text)


def _recolour(shape: Shape, rng, free) -> Change:
    colour = _other(rng, COLOURS, shape.colour)
    text = f"{colour}, should be {shape.colour}"
    return replace(shape, colour=colour), Edit("recolour", "style_error", 2, shape.location, text)


def _reletter(shape: Shape, rng, free) -> Change | None:
    if shape.kind != "letter":
        return None
    letter = _other(rng, LETTERS, shape.letter)
    text = f"letter {letter}, should be {shape.letter}"
    return replace(shape, letter=letter), Edit("reletter", "text_symbol_error", 2, shape.location, text)


def _add(rng, free: list[int]) -> tuple[Shape, Edit]:
    shape = random_shape(rng, int(rng.choice(free)))
    return shape, Edit("add", "structure_error", 2, shape.location, f"{shape.words} is extra")


_SHAPE_EDITS: tuple[Callable, ...] = (_remove, _move, _reshape, _resize, _recolour, _reletter)


def corrupt_drawing(shapes: list[Shape], rng: np.random.Generator, n_edits: int) -> tuple[list[Shape], list[Edit]]:
    """Applies up to `n_edits` edits to different shapes (and empty cells).

    Severity: 3 for a shape missing, of another kind, or moved two cells; 2 for an extra shape, another colour or
    letter, a move of one cell, small for large; 1 for a size that is one step off.

    Returns:
      The shapes after the edits, and the ledger in reading order of the reference's locations.
    """
    result: list[Shape] = list(shapes)
    untouched = list(shapes)
    free = [cell for cell in range(9) if cell not in {shape.cell for shape in shapes}]
    edits: list[tuple[int, Edit]] = []
    while len(edits) < n_edits and (untouched or free):
        if free and (not untouched or rng.random() < 0.2):
            shape, edit = _add(rng, free)
            free.remove(shape.cell)
            result.append(shape)
            edits.append((shape.cell, edit))
            continue
        shape = untouched[rng.integers(len(untouched))]
        change = _SHAPE_EDITS[rng.integers(len(_SHAPE_EDITS))](shape, rng, free)
        # An empty drawing is a blank picture, which no policy is asked for.
        if change is None or (change[0] is None and len(result) == 1):
            continue
        untouched.remove(shape)
        result.remove(shape)
        after, edit = change
        if after is not None:
            result.append(after)
            if after.cell in free:
                free.remove(after.cell)
        edits.append((shape.cell, edit))
    edits.sort(key=lambda entry: entry[0])
    return result, [edit for _, edit in edits]
