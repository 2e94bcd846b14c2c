"""What is done to pixels between an engine and the result: channels in order, crop."""

from __future__ import annotations

import numpy as np


def unpack(pixels: np.ndarray) -> np.ndarray:
    """uint32[H, W], 0xAARRGGBB and opaque -> uint8[H, W, 3], RGB."""
    return np.stack([pixels >> 16, pixels >> 8, pixels], axis=-1).astype(np.uint8)


def crop(pixels: np.ndarray, margin: int) -> np.ndarray:
    """Cuts uint32[H, W] to what differs from its top-left pixel, plus `margin` pixels where there are any.

    An image of one colour is cut to that pixel and the margin, so that it stays recognisable as blank.
    """
    differs = pixels != pixels[0, 0]
    rows = np.flatnonzero(differs.any(axis=1))
    if not len(rows):
        return pixels[: margin + 1, : margin + 1]
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return pixels[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
