"""Positions, computed on the host once: where a patch lies in its image, a token in time, height and width.

Everything here is NumPy and ragged; what leaves has a static shape (see `inputs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Grid = tuple[int, int, int]
"""Patches of one image along time, height and width, before merging."""


def patch_coordinates(grid: Grid, merge: int) -> np.ndarray:
    """Row and column of each patch, in the order patches are packed: block of merge x merge after block.

    Returns:
      int32[t * h * w, 2].
    """
    t, h, w = grid
    rows, cols = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    coords = np.stack([rows, cols], axis=-1).reshape(h // merge, merge, w // merge, merge, 2)
    coords = coords.transpose(0, 2, 1, 3, 4).reshape(h * w, 2)
    return np.tile(coords, (t, 1)).astype(np.int32)


def position_taps(grid: Grid, merge: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear interpolation of the learned side x side table to an image's grid, corners aligned.

    Returns:
      Index into the flattened table, int32[n, 4], and weight, float32[n, 4], of the four neighbours of each patch.
    """
    coords = patch_coordinates(grid, merge)
    low, high, fraction = [], [], []
    for axis, size in ((0, grid[1]), (1, grid[2])):
        source = coords[:, axis].astype(np.float32) * np.float32(side - 1) / np.float32(max(size - 1, 1))
        floor = np.floor(source).astype(np.int32)
        low.append(floor)
        high.append(np.minimum(floor + 1, side - 1))
        fraction.append(source - floor)
    (row0, col0), (row1, col1), (fr, fc) = low, high, fraction
    index = np.stack([row0 * side + col0, row0 * side + col1, row1 * side + col0, row1 * side + col1], axis=1)
    weight = np.stack([(1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc], axis=1)
    return index.astype(np.int32), weight.astype(np.float32)


def mrope_positions(is_vision: np.ndarray, grids: Sequence[Grid], merge: int) -> np.ndarray:
    """Position of each token in time, height and width (multimodal RoPE of Qwen3-VL).

    Text counts on in all three; the tokens of an image take its time, row and column, counted from where the text had
    come to; the text goes on behind the larger of its height and width. Frames of a video are separate images here:
    their time stamps are text.

    Args:
      is_vision: bool[S], true at image and video pad tokens.
      grids: (t, h, w) in patches of each run of vision tokens, in order.
      merge: patches merged into one token along each side.

    Returns:
      int32[3, S].

    Raises:
      ValueError: the runs of vision tokens do not match the grids.
    """
    is_vision = np.asarray(is_vision, bool)
    out = np.zeros((3, len(is_vision)), np.int32)
    index, position = 0, 0
    for number, (t, h, w) in enumerate(grids, start=1):
        start = index
        while start < len(is_vision) and not is_vision[start]:
            start += 1
        out[:, index:start] = position + np.arange(start - index)
        position += start - index
        rows, cols = h // merge, w // merge
        count = t * rows * cols
        if start + count > len(is_vision) or not is_vision[start : start + count].all():
            raise ValueError(f"image {number} needs {count} image tokens at token {start}, and they are not there")
        time, row, col = np.meshgrid(np.arange(t), np.arange(rows), np.arange(cols), indexing="ij")
        out[:, start : start + count] = position + np.stack([time, row, col]).reshape(3, -1)
        position += max(rows, cols)
        index = start + count
    if is_vision[index:].any():
        raise ValueError(f"there are image tokens behind the last of {len(grids)} images")
    out[:, index:] = position + np.arange(len(is_vision) - index)
    return out
