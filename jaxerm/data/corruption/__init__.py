"""Controlled corruption: break a program in known ways, and keep a ledger of what was broken."""

from __future__ import annotations

import numpy as np

from jaxerm.data.corruption.chart import corrupt_chart
from jaxerm.data.corruption.drawing import corrupt_drawing
from jaxerm.data.corruption.plot_reading import is_plain
from jaxerm.data.corruption.svg import corrupt_svg
from jaxerm.data.corruption.table import corrupt_table
from jaxerm.data.program import Corruption, Program
from jaxerm.data.sources.drawings import to_shapes, to_svg

_EDITORS = {"svg": corrupt_svg, "table": corrupt_table, "chart": corrupt_chart}


def corrupt(program: Program, rng: np.random.Generator, n_edits: int) -> Corruption:
    """Applies `n_edits` edits to different things of a program, or as many as it has things for.

    The same program and state of `rng` give the same corruption on every machine.

    Raises:
      ValueError: the code cannot be read; the message names the program.
    """
    shapes = to_shapes(program.code) if program.task == "svg" else None
    if shapes is not None:
        changed, edits, alone = corrupt_drawing(shapes, rng, n_edits)
        return Corruption(program, to_svg(changed), tuple(edits), tuple(map(to_svg, alone)), sure=True)
    try:
        code, edits, alone, *without = _EDITORS[program.task](program.code, rng, n_edits)
    except ValueError as error:
        raise ValueError(f"{program.name} cannot be corrupted: {error}") from None
    sure = program.task == "chart" and is_plain(program.code)
    return Corruption(program, code, tuple(edits), tuple(alone), sure, *map(tuple, without))
