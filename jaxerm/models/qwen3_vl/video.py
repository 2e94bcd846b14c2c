"""A video as frames the vision tower reads in pairs, each pair behind its time stamp in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from jaxerm.models.qwen3_vl.positions import Grid


def video_size(
    frames: int, height: int, width: int, *, factor: int, temporal: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Height and width of every frame: multiples of `factor`, the pixels of all frames together within bounds.

    Raises:
      ValueError: a frame more than 200 times as long as wide.
    """
    if max(height, width) > 200 * min(height, width):
        raise ValueError(f"a frame of {width} x {height} pixels is more than 200 times longer than wide")
    if min(height, width) < factor:
        scale = factor / min(height, width)
        height, width = int(height * scale), int(width * scale)
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    pixels = round(frames / temporal) * temporal * rows * columns
    if pixels > max_pixels:
        shrink = math.sqrt(frames * height * width / max_pixels)
        return tuple(max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    if pixels < min_pixels:
        stretch = math.sqrt(min_pixels / (frames * height * width))
        return tuple(math.ceil(side * stretch / factor) * factor for side in (height, width))
    return rows, columns


def time_stamps(frames: int, fps: float, temporal: int) -> list[float]:
    """Seconds into the video of each group of `temporal` frames: the middle between its first and its last."""
    index = [*range(frames), *[frames - 1] * (-frames % temporal)]
    return [(index[i] + index[i + temporal - 1]) / 2 / fps for i in range(0, len(index), temporal)]


def video_patches(
    frames: Sequence[Image.Image], images: Any, *, min_pixels: int, max_pixels: int
) -> tuple[np.ndarray, tuple[Grid, ...]]:
    """Patches of a video.

    Args:
      frames: RGB, all of one size.
      images: Hugging Face's image processor, for sizes and normalisation.
      min_pixels, max_pixels: of all frames together.

    Returns:
      float32[n, patch_dim], and one grid (1, h, w) for each group of frames: each is attended to alone.
    """
    temporal, patch, merge = images.temporal_patch_size, images.patch_size, images.merge_size
    if not frames or any(frame.size != frames[0].size for frame in frames):
        raise ValueError(f"a video is frames of one size, not {sorted({frame.size for frame in frames})}")
    width, height = frames[0].size
    height, width = video_size(
        len(frames),
        height,
        width,
        factor=patch * merge,
        temporal=temporal,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    resized = [frame.resize((width, height), Image.Resampling.BICUBIC) for frame in frames]
    resized += resized[-1:] * (-len(resized) % temporal)
    values = np.asarray(images(images=resized, do_resize=False, return_tensors="np")["pixel_values"], np.float32)
    # The image processor repeats each picture `temporal` times; here the neighbours stand in those places.
    values = values.reshape(len(resized) // temporal, temporal, -1, 3, temporal, patch * patch)
    values = np.stack([values[:, place, :, :, place] for place in range(temporal)], axis=3)
    grid = (1, height // patch, width // patch)
    return values.reshape(-1, 3 * temporal * patch * patch), (grid,) * (len(resized) // temporal)
