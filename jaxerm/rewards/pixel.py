"""Pixel agreement of two pictures: a yardstick that no model has a say in."""

from __future__ import annotations

import numpy as np
from PIL import Image


def ink_overlap(reference: np.ndarray, prediction: np.ndarray, tolerance: int = 64) -> float:
    """Share of the ink of both pictures on which they agree.

    Ink is whatever differs from the reference's top-left pixel. White paper, most of a drawing, counts for nothing:
    plain pixel differences are close to perfect for an empty page.

    Args:
      reference: uint8[H, W, 3].
      prediction: uint8[h, w, 3]; resized to the reference if it has another size.
      tolerance: largest difference of a channel, of 255, at which two pixels agree.

    Returns:
      0 to 1; 1 for two pictures without ink.
    """
    if prediction.shape != reference.shape:
        size = (reference.shape[1], reference.shape[0])
        prediction = np.asarray(Image.fromarray(prediction).resize(size, Image.Resampling.BILINEAR))
    a, b = reference.astype(np.int16), prediction.astype(np.int16)
    paper = a[0, 0]
    ink = (np.abs(a - paper).max(axis=-1) > tolerance) | (np.abs(b - paper).max(axis=-1) > tolerance)
    if not ink.any():
        return 1.0
    agree = np.abs(a - b).max(axis=-1) <= tolerance
    return float((agree & ink).sum() / ink.sum())
