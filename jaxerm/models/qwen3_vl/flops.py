"""Operations the model needs: matmuls of text, vision tower and head, and attention. What MFU is a share of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig


def text_flops(config: Qwen3VLConfig, length: int, predicted: int | None = None) -> float:
    """One pass of the language model over one sample: 2 a weight and token, and causal attention, half the square.

    Args:
      length: tokens.
      predicted: positions at which the vocabulary is predicted; all if None.
    """
    text = config.text
    hidden = text.hidden_size
    projections = hidden * text.head_dim * 2 * (text.num_heads + text.num_kv_heads)
    if text.num_experts:
        mlp = hidden * (text.num_experts + 3 * text.expert_size * text.experts_per_token)
    else:
        mlp = 3 * hidden * text.intermediate_size
    mixing = 2 * text.num_heads * text.head_dim * length * (length + 1) / 2
    total = text.num_layers * (length * (projections + mlp) + mixing)
    return 2.0 * (total + (length if predicted is None else predicted) * hidden * text.vocab_size)


def vision_flops(config: Qwen3VLConfig, patches: int) -> float:
    """One pass of the vision tower and its mergers over one image of that many patches."""
    vision = config.vision
    merged = vision.hidden_size * vision.spatial_merge_size**2
    block = vision.hidden_size * (4 * vision.hidden_size + 2 * vision.intermediate_size)
    total = vision.depth * (patches * block + 2 * vision.hidden_size * patches**2)
    total += patches * vision.patch_dim * vision.hidden_size
    mergers = 1 + len(vision.deepstack_layers)
    return 2.0 * (total + mergers * patches / vision.spatial_merge_size**2 * merged * (merged + vision.out_hidden_size))


def forward_flops(
    config: Qwen3VLConfig, rows: int, length: int, patches: int, *, predicted: int | None = None
) -> float:
    """One pass over `rows` rows of `length` tokens and `patches` patches.

    A row's patches are counted as one image, the most there can be.
    """
    return rows * (text_flops(config, length, predicted) + vision_flops(config, patches))


def decode_flops(config: Qwen3VLConfig, rows: int, length: int) -> float:
    """Operations of one more token a row behind `length` others, all of which it may see."""
    text = config.text
    one = forward_flops(config, rows, 1, 0)
    return one + 4.0 * rows * text.num_layers * text.num_heads * text.head_dim * (length - 1)


def samples_flops(
    config: Qwen3VLConfig, lengths: Iterable[int], predicted: int, patches: Iterable[int]
) -> tuple[float, float]:
    """One pass over samples, padding not counted: of the text, and of the vision tower.

    Args:
      lengths: tokens of each sample.
      predicted: tokens of all samples whose probability is asked for: those of the answers.
      patches: of each image.
    """
    head = 2.0 * predicted * config.text.hidden_size * config.text.vocab_size
    return head + sum(text_flops(config, n, 0) for n in lengths), sum(vision_flops(config, n) for n in patches)


def segment_sizes(segment_ids: np.ndarray) -> Iterator[int]:
    """How long each segment of each row of int[B, S] is; 0 is padding."""
    for row in np.asarray(segment_ids):
        yield from np.unique(row[row > 0], return_counts=True)[1].tolist()
