"""What the model eats: static arrays, made on the host, one row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.positions import Grid, mrope_positions, patch_coordinates, position_taps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VisionInputs:
    """The images of each row, packed one behind the other and padded at the end.

    Attributes:
      patches: float32[B, P, patch_dim], normalised pixels; P is a multiple of merge ** 2.
      coordinates: int32[B, P, 2], row and column of each patch in its image.
      segment_ids: int32[B, P], 1 for the first image of the row, 2 for the second, 0 for padding.
      tap_index: int32[B, P, 4], neighbours in the table of learned positions.
      tap_weight: float32[B, P, 4], their weights.
    """

    patches: jax.Array
    coordinates: jax.Array
    segment_ids: jax.Array
    tap_index: jax.Array
    tap_weight: jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Inputs:
    """A batch of token rows with their images.

    Attributes:
      tokens: int32[B, S].
      positions: int32[B, 3, S], time, height, width.
      segment_ids: int32[B, S], 0 for padding; tokens of one segment see each other.
      vision_index: int32[B, S], which merged patch of the row's images stands here, -1 where text does.
      token_index: int32[B, P / merge ** 2], the inverse: at which token a merged patch stands, -1 for padding.
      vision: the images, or None if no row has one.
    """

    tokens: jax.Array
    positions: jax.Array
    segment_ids: jax.Array
    vision_index: jax.Array
    token_index: jax.Array
    vision: VisionInputs | None


@dataclass(frozen=True)
class Sample:
    """One prompt (or conversation) on the host, ragged.

    Attributes:
      tokens: int32[S], image pads already repeated to one a merged patch.
      patches: float32[P, patch_dim], all images in order.
      grids: (t, h, w) of each image.
    """

    tokens: np.ndarray
    patches: np.ndarray
    grids: tuple[Grid, ...]

    def extended(self, tokens: Sequence[int] | np.ndarray) -> Sample:
        """The same sample with `tokens` behind it."""
        return Sample(np.concatenate([self.tokens, np.asarray(tokens, np.int32)]), self.patches, self.grids)


def _vision_arrays(sample: Sample, length: int, config: Qwen3VLConfig) -> dict[str, np.ndarray]:
    vision = config.vision
    count = len(sample.patches)
    if count > length:
        raise ValueError(
            f"a sample has {count} patches and the batch has room for {length}: raise max_patches, or lower the "
            "preprocessor's max_pixels"
        )
    coords, index, weight, segments = [], [], [], []
    for number, grid in enumerate(sample.grids, start=1):
        coords.append(patch_coordinates(grid, vision.spatial_merge_size))
        taps = position_taps(grid, vision.spatial_merge_size, vision.position_side)
        index.append(taps[0])
        weight.append(taps[1])
        segments.append(np.full(len(coords[-1]), number, np.int32))
    out = {
        "patches": np.zeros((length, vision.patch_dim), np.float32),
        "coordinates": np.zeros((length, 2), np.int32),
        "segment_ids": np.zeros(length, np.int32),
        "tap_index": np.zeros((length, 4), np.int32),
        "tap_weight": np.zeros((length, 4), np.float32),
    }
    if count:
        out["patches"][:count] = sample.patches
        out["coordinates"][:count] = np.concatenate(coords)
        out["segment_ids"][:count] = np.concatenate(segments)
        out["tap_index"][:count] = np.concatenate(index)
        out["tap_weight"][:count] = np.concatenate(weight)
    return out


def inverse_index(vision_index: np.ndarray, merged: int) -> np.ndarray:
    """At which token each of `merged` patches stands.

    Args:
      vision_index: int32[B, S], -1 where text stands.

    Returns:
      int32[B, merged], -1 where none does.
    """
    out = np.full((len(vision_index), merged), -1, np.int32)
    row, token = np.nonzero(vision_index >= 0)
    out[row, vision_index[row, token]] = token
    return out


def batch_inputs(
    samples: Sequence[Sample], config: Qwen3VLConfig, *, length: int, patches: int, pad_left: bool = False
) -> Inputs:
    """Pads samples to one static shape.

    Args:
      samples: the rows.
      config: the model's config.
      length: S, tokens a row. A longer sample is an error, never cut: a cut would part image tokens from their image.
      patches: P, patches a row; 0 for a batch without images.
      pad_left: padding in front of the tokens (prompts about to be continued) instead of behind them.

    Returns:
      NumPy arrays in an `Inputs`.

    Raises:
      ValueError: a sample that does not fit, or whose image tokens and images disagree.
    """
    pads = np.array([config.image_token_id, config.video_token_id])
    rows: list[dict[str, np.ndarray]] = []
    vision_rows = []
    for sample in samples:
        size = len(sample.tokens)
        if size > length:
            raise ValueError(
                f"a sample has {size} tokens and the batch has room for {length}: raise max_length, or lower the "
                "preprocessor's max_pixels"
            )
        is_vision = np.isin(sample.tokens, pads)
        place = slice(length - size, length) if pad_left else slice(0, size)
        row = {
            "tokens": np.full(length, config.pad_token_id, np.int32),
            "positions": np.zeros((3, length), np.int32),
            "segment_ids": np.zeros(length, np.int32),
            "vision_index": np.full(length, -1, np.int32),
        }
        row["tokens"][place] = sample.tokens
        row["positions"][:, place] = mrope_positions(is_vision, sample.grids, config.vision.spatial_merge_size)
        row["segment_ids"][place] = 1
        row["vision_index"][place] = np.where(is_vision, np.cumsum(is_vision) - 1, -1)
        rows.append(row)
        if patches:
            vision_rows.append(_vision_arrays(sample, patches, config))
        elif sample.grids:
            raise ValueError(f"a sample has {len(sample.grids)} images and the batch has room for no patch")
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    vision = None
    if patches:
        vision = VisionInputs(**{name: np.stack([row[name] for row in vision_rows]) for name in vision_rows[0]})
    token_index = inverse_index(stacked["vision_index"], patches // config.vision.spatial_merge_size**2)
    return Inputs(**stacked, token_index=token_index, vision=vision)


def bucket(size: int, buckets: Sequence[int]) -> int:
    """The smallest of `buckets` that holds `size`: few distinct shapes, few compilations."""
    for candidate in sorted(buckets):
        if size <= candidate:
            return candidate
    raise ValueError(f"{size} does not fit the largest bucket, {max(buckets)}")
