"""The other implementation: Hugging Face transformers on PyTorch. Imported only where torch is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

from jaxerm.models.qwen3_vl.inputs import Sample

torch.set_num_threads(1)


def open_model(directory: Path) -> PreTrainedModel:
    """The directory's model in float32; an error if a tensor is missing, left over or of another shape."""
    model, info = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    wrong = {key: value for key, value in info.items() if value}
    if wrong:
        raise ValueError(f"{directory} does not load cleanly: {wrong}")
    return model.eval()


def arguments(model, samples: Sequence[Sample], *, pad_left: bool = False) -> dict[str, torch.Tensor]:
    """Samples as the keyword arguments of `model`, padded to the longest."""
    config = model.config
    length = max(len(sample.tokens) for sample in samples)
    tokens = np.full((len(samples), length), config.text_config.pad_token_id)
    mask = np.zeros_like(tokens)
    for row, sample in enumerate(samples):
        size = len(sample.tokens)
        place = slice(length - size, length) if pad_left else slice(0, size)
        tokens[row, place], mask[row, place] = sample.tokens, 1
    out = {
        "input_ids": torch.tensor(tokens),
        "attention_mask": torch.tensor(mask),
        "mm_token_type_ids": torch.tensor((tokens == config.image_token_id) + 2 * (tokens == config.video_token_id)),
    }
    grids = [grid for sample in samples for grid in sample.grids]
    if (tokens == config.video_token_id).any():  # one video, of as many groups of frames as there are grids
        out["pixel_values_videos"] = torch.tensor(np.concatenate([sample.patches for sample in samples]))
        out["video_grid_thw"] = torch.tensor([[len(grids), *grids[0][1:]]])
    elif grids:
        out["pixel_values"] = torch.tensor(np.concatenate([sample.patches for sample in samples]))
        out["image_grid_thw"] = torch.tensor(grids)
    return out


@torch.no_grad()
def logits(model, samples: Sequence[Sample], *, pad_left: bool = False) -> list[np.ndarray]:
    """float32[S, vocab] of each sample, all run as one batch."""
    model.model.rope_deltas = None  # left behind by an earlier batch of another size
    inputs = arguments(model, samples, pad_left=pad_left)
    out = model(**inputs).logits.numpy()
    return [row[mask] for row, mask in zip(out, inputs["attention_mask"].numpy().astype(bool), strict=True)]


def positions(model, sample: Sample) -> np.ndarray:
    """int[3, S], as `get_rope_index` counts them."""
    inputs = arguments(model, [sample])
    out, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs.get("image_grid_thw"), inputs.get("video_grid_thw")
    )
    return out[:, 0].numpy()
