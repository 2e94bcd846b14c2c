"""Edits of generated drawings: from one canonical drawing to another, so that a reviser can come back to the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jaxerm.data.program import Edit
from jaxerm.data.sources.drawings import COLOURS, KINDS, LETTERS, SIZES, Shape, random_shape

Change = tuple[Shape | None, Edit]


def missing(shape: Shape) -> Edit:
    """The entry of a shape that is not there."""
    return Edit("remove", "structure_error", 3, shape.location, f"{shape.words} is missing")


def extra(shape: Shape) -> Edit:
    """The entry of a shape that should not be there."""
    return Edit("add", "structure_error", 2, shape.location, f"{shape.words} is extra")


def changes(old: Shape, new: Shape) -> list[Edit]:
    """The entries of a shape that became another, one for each of its attributes: what, size, colour, place."""
    where = old.location
    found = []
    if old.kind != new.kind:
        found.append(Edit("reshape", "shape_error", 3, where, f"{new.noun}, should be {old.noun}"))
    elif old.letter != new.letter:
        found.append(Edit("reletter", "text_symbol_error", 2, where, f"{new.noun}, should be {old.letter}"))
    if old.size != new.size:
        # Small against large can be seen at once; neighbours differ by two pixels of sixty-four on each side.
        severity = 2 if {new.size, old.size} == {"small", "large"} else 1
        found.append(Edit("resize", "shape_error", severity, where, f"{new.size}, should be {old.size}"))
    if old.colour != new.colour:
        found.append(Edit("recolour", "style_error", 2, where, f"{new.colour}, should be {old.colour}"))
    if old.cell != new.cell:
        steps = max(abs(new.cell // 3 - old.cell // 3), abs(new.cell % 3 - old.cell % 3))
        found.append(Edit("move", "structure_error", 1 + steps, where, f"{old.words} is at {new.location}"))
    return found


def _other(rng: np.random.Generator, values, current: str) -> str:
    values = [value for value in values if value != current]
    return values[rng.integers(len(values))]


def _changed(shape: Shape, **attribute: str | int) -> Change:
    changed = replace(shape, **attribute)
    (edit,) = changes(shape, changed)
    return changed, edit


def _remove(shape: Shape, rng, free) -> Change:
    return None, missing(shape)


def _move(shape: Shape, rng, free) -> Change | None:
    return _changed(shape, cell=int(rng.choice(free))) if free else None


def _reshape(shape: Shape, rng, free) -> Change | None:
    if shape.kind == "letter":
        return None
    return _changed(shape, kind=_other(rng, [kind for kind in KINDS if kind != "letter"], shape.kind))


def _resize(shape: Shape, rng, free) -> Change:
    return _changed(shape, size=_other(rng, SIZES, shape.size))


def _recolour(shape: Shape, rng, free) -> Change:
    return _changed(shape, colour=_other(rng, COLOURS, shape.colour))


def _reletter(shape: Shape, rng, free) -> Change | None:
    return _changed(shape, letter=_other(rng, LETTERS, shape.letter)) if shape.kind == "letter" else None


def _add(rng, free: list[int]) -> tuple[Shape, Edit]:
    shape = random_shape(rng, int(rng.choice(free)))
    return shape, extra(shape)


_SHAPE_EDITS: tuple[Callable, ...] = (_remove, _move, _reshape, _resize, _recolour, _reletter)


def corrupt_drawing(
    shapes: list[Shape], rng: np.random.Generator, n_edits: int
) -> tuple[list[Shape], list[Edit], list[list[Shape]]]:
    """Applies up to `n_edits` edits to different shapes (and empty cells).

    Severity: 3 for a shape missing, of another kind, or moved two cells; 2 for an extra shape, another colour or
    letter, a move of one cell, small for large; 1 for a size that is one step off.

    Returns:
      The shapes after the edits, the ledger in reading order of the reference's locations, and the shapes after each
      edit alone.
    """
    result: list[Shape] = list(shapes)
    untouched = list(shapes)
    free = [cell for cell in range(9) if cell not in {shape.cell for shape in shapes}]
    edits: list[tuple[int, Edit, list[Shape]]] = []
    while len(edits) < n_edits and (untouched or free):
        if free and (not untouched or rng.random() < 0.2):
            shape, edit = _add(rng, free)
            free.remove(shape.cell)
            result.append(shape)
            edits.append((shape.cell, edit, [*shapes, shape]))
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
        rest = [known for known in shapes if known is not shape]
        edits.append((shape.cell, edit, rest if after is None else [*rest, after]))
    edits.sort(key=lambda entry: entry[0])
    return result, [edit for _, edit, _ in edits], [alone for _, _, alone in edits]
