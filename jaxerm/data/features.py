"""One example as arrays, and several of them as the packed rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxerm.data.examples import Example
from jaxerm.data.packing import Packing
from jaxerm.models.qwen3_vl.inputs import Inputs, VisionInputs, inverse_index
from jaxerm.models.qwen3_vl.positions import mrope_positions, patch_coordinates, position_taps
from jaxerm.models.qwen3_vl.processor import Processor

Features = dict[str, np.ndarray]
_OF_PATCHES = ("patches", "coordinates", "image", "tap_index", "tap_weight")
IMAGES_PER_SAMPLE = 64
"""Keeps the segment ids of one sample's images apart from the next sample's."""


@dataclass(frozen=True)
class TrainBatch:
    """A packed batch. `weights` float32[B, S] is 1 where a token belongs to an answer."""

    inputs: Inputs
    weights: np.ndarray


def features(example: Example, processor: Processor) -> Features:
    """One example as ragged arrays, every one with a leading axis of tokens or of patches.

    ``weights`` is 1 at the tokens of the answer and 0 at the prompt: the loss is taken on the answer only.
    """
    config = processor.config
    merge, side = config.vision.spatial_merge_size, config.vision.position_side
    prompt = processor.sample(example.messages)
    sample = prompt.extended(processor.completion(example.answer))
    is_vision = sample.tokens == config.image_token_id
    weights = np.zeros(len(sample.tokens), np.float32)
    weights[len(prompt.tokens) :] = 1
    taps = [position_taps(grid, merge, side) for grid in sample.grids]

    def joined(parts, width, dtype):
        return np.concatenate(parts) if parts else np.zeros((0, width), dtype)

    counts = [t * h * w for t, h, w in sample.grids]
    return {
        "tokens": sample.tokens,
        "weights": weights,
        "positions": mrope_positions(is_vision, sample.grids, merge).T,
        "vision_index": np.where(is_vision, np.cumsum(is_vision) - 1, -1).astype(np.int32),
        "patches": sample.patches,
        "coordinates": joined([patch_coordinates(grid, merge) for grid in sample.grids], 2, np.int32),
        "image": np.repeat(np.arange(1, len(counts) + 1), counts).astype(np.int32),
        "tap_index": joined([index for index, _ in taps], 4, np.int32),
        "tap_weight": joined([weight for _, weight in taps], 4, np.float32),
    }


def packed_batch(rows: Sequence[Sequence[Features]], packing: Packing, processor: Processor) -> TrainBatch:
    """Rows of examples, one behind the other, as the model's inputs.

    Samples in one row must not see each other: tokens carry the number of their sample, patches of their image.
    """
    merged = processor.config.vision.spatial_merge_size**2
    fill_with = {"tokens": processor.config.pad_token_id, "vision_index": -1}
    arrays = {}
    for name, like in rows[0][0].items():
        size = packing.patches if name in _OF_PATCHES else packing.length
        arrays[name] = np.full((len(rows), size, *like.shape[1:]), fill_with.get(name, 0), like.dtype)
    segment_ids = np.zeros((len(rows), packing.length), np.int32)
    for row, examples in enumerate(rows):
        token = patch = 0
        for number, example in enumerate(examples, start=1):
            tokens = slice(token, token + len(example["tokens"]))
            patches = slice(patch, patch + len(example["patches"]))
            for name, values in example.items():
                arrays[name][row, patches if name in _OF_PATCHES else tokens] = values
            segment_ids[row, tokens] = number
            # Images and merged patches are counted from the sample's first; in the row from the row's.
            arrays["image"][row, patches] += number * IMAGES_PER_SAMPLE
            index = arrays["vision_index"][row, tokens]
            index[index >= 0] += patch // merged
            token, patch = tokens.stop, patches.stop
    vision = VisionInputs(
        patches=arrays["patches"],
        coordinates=arrays["coordinates"],
        segment_ids=arrays["image"],
        tap_index=arrays["tap_index"],
        tap_weight=arrays["tap_weight"],
    )
    inputs = Inputs(
        tokens=arrays["tokens"],
        positions=np.ascontiguousarray(arrays["positions"].transpose(0, 2, 1)),
        segment_ids=segment_ids,
        vision_index=arrays["vision_index"],
        token_index=inverse_index(arrays["vision_index"], packing.patches // merged),
        vision=vision,
    )
    return TrainBatch(inputs, arrays["weights"])


def fill(batch: TrainBatch) -> float:
    """Share of a batch's token slots that hold a token."""
    return float((np.asarray(batch.inputs.segment_ids) > 0).mean())
