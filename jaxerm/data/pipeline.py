"""The Grain pipeline: index -> example, rendered on the way -> tokens and patches -> packed rows -> batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grain
import numpy as np

from jaxerm.data.examples import Example
from jaxerm.data.pairs import BrokenSample
from jaxerm.models.qwen3_vl.inputs import Inputs, VisionInputs, inverse_index
from jaxerm.models.qwen3_vl.positions import mrope_positions, patch_coordinates, position_taps
from jaxerm.models.qwen3_vl.processor import Processor

_LOG = logging.getLogger(__name__)
_IMAGES_PER_SAMPLE = 64
"""Keeps the segment ids of one sample's images apart from the next sample's."""


@dataclass(frozen=True)
class Component:
    """One part of a mixture.

    Attributes:
      make: index -> example; the same example for the same index, on every machine.
      size: indices there are.
      weight: share of the mixture.
    """

    make: Callable[[int], Example]
    size: int
    weight: float


@dataclass(frozen=True)
class Packing:
    """The static shape of a batch: rows, tokens a row, patches a row."""

    rows: int
    length: int
    patches: int


def features(example: Example, processor: Processor) -> dict[str, np.ndarray]:
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


def _features_or_none(
    component: Component, index: int, processor: Processor, packing: Packing
) -> dict[str, np.ndarray] | None:
    """None, which Grain passes over, for a sample that cannot be made or does not fit a row.

    One bad file must not end a long run, and cutting a sample would part image tokens from their image.
    """
    try:
        made = features(component.make(index), processor)
    except BrokenSample as error:
        _LOG.warning("skipped: %s", error)
        return None
    if len(made["tokens"]) > packing.length or len(made["patches"]) > packing.patches:
        _LOG.info(
            "skipped: sample %d has %d tokens and %d patches; a row holds %d and %d",
            index,
            len(made["tokens"]),
            len(made["patches"]),
            packing.length,
            packing.patches,
        )
        return None
    return made


_PATCH_FEATURES = ("patches", "coordinates", "image", "tap_index", "tap_weight")


@dataclass(frozen=True)
class TrainBatch:
    """A packed batch. `weights` float32[B, S] is 1 where a token belongs to an answer."""

    inputs: Inputs
    weights: np.ndarray


def packed_batch(packed: dict[str, np.ndarray], merge: int) -> TrainBatch:
    """What Grain's packing returns (rows stacked) as the model's inputs.

    Samples in one row must not see each other: tokens carry the number of their sample, patches of their image.
    """
    sample_of_patch = packed["patches_segment_ids"]
    image_segments = np.where(sample_of_patch > 0, sample_of_patch * _IMAGES_PER_SAMPLE + packed["image"], 0)
    # vision_index counts from the sample's first patch; in the row it counts from the row's.
    sample_of_token = packed["tokens_segment_ids"]
    starts = (sample_of_patch[:, None, :] == sample_of_token[:, :, None]).argmax(axis=-1) // merge**2
    local = packed["vision_index"]
    segment_ids = sample_of_token.astype(np.int32)
    vision = VisionInputs(
        patches=packed["patches"],
        coordinates=packed["coordinates"],
        segment_ids=image_segments.astype(np.int32),
        tap_index=packed["tap_index"],
        tap_weight=packed["tap_weight"],
    )
    vision_index = np.where((segment_ids > 0) & (local >= 0), local + starts, -1).astype(np.int32)
    inputs = Inputs(
        tokens=packed["tokens"],
        positions=np.ascontiguousarray(packed["positions"].transpose(0, 2, 1)),
        segment_ids=segment_ids,
        vision_index=vision_index,
        token_index=inverse_index(vision_index, sample_of_patch.shape[1] // merge**2),
        vision=vision,
    )
    return TrainBatch(inputs, packed["weights"] * (segment_ids > 0))


def batches(
    components: Sequence[Component],
    processor: Processor,
    packing: Packing,
    *,
    seed: int,
    threads: int = 4,
    prefetch: int = 64,
) -> grain.DatasetIterator:
    """An endless iterator of `TrainBatch`, with ``get_state`` and ``set_state`` for exact resume.

    Args:
      components: the mixture.
      processor: of the model.
      packing: the shape of a batch.
      seed: of the order in which each component is drawn.
      threads: examples made at once; each waits for a renderer most of its time.
      prefetch: examples made ahead.
    """
    merge = processor.config.vision.spatial_merge_size

    def part(component: Component, number: int) -> grain.MapDataset:
        data = grain.MapDataset.range(component.size).seed(seed + number).shuffle().repeat()
        return data.map(lambda index: _features_or_none(component, int(index), processor, packing))

    parts = [part(component, number) for number, component in enumerate(components)]
    mixed = grain.MapDataset.mix(parts, [component.weight for component in components])
    data = mixed.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch))
    names = ("tokens", "weights", "positions", "vision_index", *_PATCH_FEATURES)
    packed = grain.experimental.BestFitPackIterDataset(
        data,
        length_struct={name: packing.patches if name in _PATCH_FEATURES else packing.length for name in names},
        num_packing_bins=packing.rows,
        shuffle_bins=False,
        padding_struct={
            name: {"tokens": processor.config.pad_token_id, "vision_index": -1}.get(name) for name in names
        },
    )
    rows = packed.batch(packing.rows, drop_remainder=True).map(lambda rows: packed_batch(rows, merge))
    return iter(rows)


def fill(batch: TrainBatch) -> float:
    """Share of a batch's token slots that hold a token."""
    return float((np.asarray(batch.inputs.segment_ids) > 0).mean())
