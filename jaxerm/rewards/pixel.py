"""Pixel agreement of two pictures: yardsticks that no model has a say in, and the reward `pixel` made of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, scored


def resized(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The picture at the size of the reference, uint8[H, W, 3]."""
    if image.shape == reference.shape:
        return image
    size = (reference.shape[1], reference.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


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
    a, b = reference.astype(np.int16), resized(prediction, reference).astype(np.int16)
    paper = a[0, 0]
    ink = (np.abs(a - paper).max(axis=-1) > tolerance) | (np.abs(b - paper).max(axis=-1) > tolerance)
    if not ink.any():
        return 1.0
    agree = np.abs(a - b).max(axis=-1) <= tolerance
    return float((agree & ink).sum() / ink.sum())


def ssim(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Mean structural similarity of the grey values (Wang et al., 2004, eqs. 13-16).

    SSIM = (2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2)), with means and covariances under
    a Gaussian window of 11 x 11 and sigma 1.5, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2; borders are mirrored.

    Args:
      reference: uint8[H, W, 3].
      prediction: uint8[h, w, 3]; resized to the reference if it has another size.

    Returns:
      -1 to 1.
    """

    def blurred(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, 1.5, radius=5)

    a, b = _grey(reference), _grey(resized(prediction, reference))
    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    over = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    under = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float((over / under).mean())


def standardised_mse(reference: np.ndarray, prediction: np.ndarray) -> float:
    """1 - mean squared difference of the standardised pixels, at least 0 (RLRF, arXiv 2505.20793).

    Both pictures are shifted and scaled by mean and standard deviation of the reference's pixels.
    """
    a, b = reference.astype(np.float64), resized(prediction, reference).astype(np.float64)
    return _closeness((a - a.mean()) / (a.std() or 255.0), (b - a.mean()) / (a.std() or 255.0))


def edges(image: np.ndarray, low: float = 100.0, high: float = 200.0) -> np.ndarray:
    """Canny's edges of the grey values (IEEE PAMI 8, 1986): bool[H, W].

    Gradients by Sobel, |gx| + |gy| kept where it is largest across the edge; strong where above `high`, and what is
    above `low` with them where it touches them.

    Args:
      image: uint8[H, W, 3].
      low, high: of the gradient of grey values, 0 to 255.
    """
    grey = _grey(image)
    down, across = ndimage.sobel(grey, axis=0, mode="nearest"), ndimage.sobel(grey, axis=1, mode="nearest")
    strength = np.abs(down) + np.abs(across)
    padded = np.pad(strength, 1)
    # The direction across the edge, as one of four: along a row, two diagonals, along a column.
    sector = (np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int)) % 4
    height, width = grey.shape
    thin = np.zeros(grey.shape, bool)
    for number, (row, column) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ahead = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        behind = padded[1 - row : 1 - row + height, 1 - column : 1 - column + width]
        # Of two equal neighbours one stays: an edge is one pixel wide.
        thin |= (sector == number) & (strength > behind) & (strength >= ahead)
    kept, count = ndimage.label(thin & (strength > low), np.ones((3, 3)))
    strong = np.zeros(count + 1, bool)
    strong[np.unique(kept[thin & (strength > high)])] = True
    strong[0] = False
    return strong[kept]


def edge_agreement(reference: np.ndarray, prediction: np.ndarray) -> float:
    """1 - mean squared difference of the standardised edge maps, at least 0 (RLRF's L2 of Canny edges).

    Edges are dilated by 3 x 3 and blurred (13 x 13, sigma 2.3), so that what is a little off still counts.
    """

    def soft(image: np.ndarray) -> np.ndarray:
        wide = ndimage.binary_dilation(edges(image), np.ones((3, 3)))
        return ndimage.gaussian_filter(wide.astype(np.float64), 2.3, radius=6)

    a, b = soft(reference), soft(resized(prediction, reference))
    return _closeness((a - a.mean()) / (a.std() or 1.0), (b - a.mean()) / (a.std() or 1.0))


def _grey(image: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601, float64[H, W], 0 to 255."""
    return image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def _closeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(max(0.0, 1.0 - ((a - b) ** 2).mean()))


MEASURES = {"ssim": ssim, "mse": standardised_mse, "edges": edge_agreement, "ink": ink_overlap}


class Pixel(Reward):
    """r = agreement of the pixels of reference and render, at most 1.

    Args:
      measure: ``ssim``; ``mse``, of standardised pixels; ``edges``; ``ink``, the share of drawn pixels that agree.
    """

    def __init__(self, measure: str = "ssim"):
        if measure not in MEASURES:
            raise ValueError(f"pixel: no measure {measure!r}; there are {', '.join(MEASURES)}")
        self.name, self.measure = f"pixel_{measure}", MEASURES[measure]

    def key(self, attempt: Attempt) -> Hashable:
        return attempt.pair

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        return [a.unrendered or scored(self.measure(a.reference, a.image)) for a in attempts]
