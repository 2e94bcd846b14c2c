"""Controlled corruption: break a program in known ways, and keep a ledger of what was broken."""

from __future__ import annotations

import numpy as np

from jaxerm.data.corruption.drawing import corrupt_drawing
from jaxerm.data.program import Corruption, Program
from jaxerm.data.sources.drawings import to_shapes, to_svg


def corrupt(program: Program, rng: np.random.Generator, n_edits: int) -> Corruption:
    """Applies `n_edits` edits to different things of a program, or as many as it has things for.

    The same program and state of `rng` give the same corruption on every machine.
    """
    shapes = to_shapes(program.code) if program.task == "svg" else None
    if shapes is None:
        raise ValueError(f"no corruption for {program.name}")
    changed, edits = corrupt_drawing(shapes, rng, n_edits)
    return Corruption(program, to_svg(changed), tuple(edits))
