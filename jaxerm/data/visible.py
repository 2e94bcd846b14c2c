"""What can be seen of a change: whether two images differ to the eye, and where."""

from __future__ import annotations

import numpy as np

VISIBLE = 16
"""Levels of 255 by which a pixel must change in some channel for a change to be seen."""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels; right and bottom are the first ones outside."""


def _changed(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """bool[H, W]: the pixels that can be told apart."""
    return (np.maximum(one, two) - np.minimum(one, two)).max(axis=-1) >= VISIBLE


def differs(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two images, uint8[H, W, 3], can be told apart: another size, or a pixel `VISIBLE` levels off."""
    return one.shape != two.shape or bool(_changed(one, two).any())


def change_box(reference: np.ndarray, changed: np.ndarray) -> Box | None:
    """Where an image was changed, as a box in the reference; None if there is nothing to see.

    Images of different sizes (a table that lost a row) are laid over each other from both ends: what is alike above the
    change and what is alike below it is left out. Something that came in has a box of one pixel's width or height,
    where it came in.

    Args:
      reference: uint8[H, W, 3].
      changed: uint8[h, w, 3].
    """
    if not differs(reference, changed):
        return None
    top, bottom = _span(reference, changed)
    left, right = _span(reference.swapaxes(0, 1), changed.swapaxes(0, 1))
    return left, top, right, bottom


def _span(reference: np.ndarray, changed: np.ndarray) -> tuple[int, int]:
    """First row of the reference that differs, and the first after those that do."""
    height, width = reference.shape[0], min(reference.shape[1], changed.shape[1])
    rows = min(height, changed.shape[0])
    best = (0, height)
    for one, two in ((reference[:, :width], changed[:, :width]), (reference[:, -width:], changed[:, -width:])):
        above = _changed(one[:rows], two[:rows]).any(axis=1)
        below = _changed(one[-rows:], two[-rows:]).any(axis=1)[::-1]
        start = int(above.argmax()) if above.any() else rows
        end = height - (int(below.argmax()) if below.any() else rows)
        # Rows that repeat, such as the space between lines, fit above the change as well as below it.
        start, end = min(start, height - 1), max(end, start + 1)
        if end - start < best[1] - best[0]:
            best = (min(start, height - 1), min(end, height))
    return best
