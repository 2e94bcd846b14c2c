"""One SFT step on a real batch against Hugging Face on PyTorch: packed rows here, rows padded to the longest there.

    python -m benchmarks.sft                                  # the tiny model
    python -m benchmarks.sft --size 100m tiny_erm_sft remat=dots

The batch is the first that a recipe draws, renders and packs; Hugging Face gets the same examples with the same weights
of the loss, one a row, in a batch as their users make it. Both sides start from the same parameters, train with AdamW
in float32 and must find the same loss in the first step. Prints JSON: seconds are the fastest of the repeats after one
that is not counted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.model import config_of, fastest
from benchmarks.padding import first_batch
from jaxerm.data.features import IMAGES_PER_SAMPLE, TrainBatch
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import Qwen3VL
from jaxerm.models.qwen3_vl.processor import Processor
from jaxerm.models.qwen3_vl.weights import save_weights
from jaxerm.recipe import SftRecipe, load_recipe
from jaxerm.train.sft import train_step
from jaxerm.train.state import TrainState, make_optimizer

_IGNORED = -100
"""Hugging Face's label of a token without loss."""


def config_for(size: str, model: str) -> Qwen3VLConfig:
    """The recipe's own model, or the 100 million of `benchmarks.model` with that model's special tokens."""
    own = Qwen3VLConfig.load(Path(model))
    if size == "tiny":
        return own
    large = config_of(size)
    vision = replace(large.vision, patch_size=own.vision.patch_size)
    return replace(own, vision=vision, text=large.text, tie_word_embeddings=True)


def examples(batch: TrainBatch) -> list[dict[str, np.ndarray]]:
    """What the packed rows hold, one example each: tokens, labels, patches, and the grid of every picture."""
    out = []
    rows = (batch.inputs.segment_ids, batch.inputs.tokens, batch.weights)
    pictures = (batch.inputs.vision.segment_ids, batch.inputs.vision.patches, batch.inputs.vision.coordinates)
    for samples, tokens, weights, images, patches, coordinates in zip(*rows, *pictures, strict=True):
        for number in range(1, samples.max() + 1):
            own = [image for image in np.unique(images) if image // IMAGES_PER_SAMPLE == number]
            out.append(
                {
                    "tokens": tokens[samples == number],
                    "labels": np.where(weights > 0, tokens, _IGNORED)[samples == number],
                    "patches": np.concatenate([patches[images == image] for image in own]),
                    "grids": np.asarray([(1, *coordinates[images == image].max(axis=0) + 1) for image in own]),
                }
            )
    return out


def ours(model: Qwen3VL, recipe: SftRecipe, batch: TrainBatch, repeat: int) -> tuple[float, float]:
    """Loss of the first step, and seconds a step."""
    graphdef, params = nnx.split(model)
    optimizer = make_optimizer(recipe.optimizer)
    state = TrainState.create(jax.tree.map(jnp.copy, params), optimizer)
    inputs, weights = jax.device_put((batch.inputs, batch.weights))
    losses = []

    def step():
        nonlocal state
        settings = {"graphdef": graphdef, "optimizer": optimizer, "remat": recipe.remat, "chunk": recipe.logits_chunk}
        state, metrics = train_step(state, None, inputs, weights, jnp.float32(recipe.optimizer.lr), **settings)
        losses.append(float(metrics["loss"]))

    seconds = fastest(step, repeat)
    return losses[0], seconds


def theirs(directory: str, config: Qwen3VLConfig, recipe: SftRecipe, rows: list, repeat: int) -> tuple[float, float]:
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32)
    longest = max(len(row["tokens"]) for row in rows)

    def padded(name, value):
        short = [(row[name], (0, longest - len(row[name]))) for row in rows]
        return torch.tensor(np.stack([np.pad(values, width, constant_values=value) for values, width in short]))

    tokens = padded("tokens", config.pad_token_id).long()
    inputs = {
        "input_ids": tokens,
        "attention_mask": torch.tensor(np.stack([np.arange(longest) < len(row["tokens"]) for row in rows])).long(),
        "mm_token_type_ids": (tokens == config.image_token_id).long(),
        "pixel_values": torch.tensor(np.concatenate([row["patches"] for row in rows])),
        "image_grid_thw": torch.tensor(np.concatenate([row["grids"] for row in rows])),
        "labels": padded("labels", _IGNORED).long(),
    }
    how = recipe.optimizer
    optimizer = torch.optim.AdamW(model.parameters(), how.lr, betas=(how.b1, how.b2), weight_decay=how.weight_decay)
    losses = []

    def step():
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), how.clip_norm)
        optimizer.step()
        losses.append(loss.item())

    seconds = fastest(step, repeat)
    return losses[0], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "100m"), default="tiny")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("recipe", nargs="?", default="tiny_erm_sft")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    adamw = ["optimizer.name=adamw", "optimizer.lr=1e-5"]
    recipe = load_recipe(options.recipe, [*adamw, *options.overrides])
    config = config_for(options.size, recipe.model)
    batch, _ = first_batch(recipe, Processor(Path(recipe.model), config), recipe.data.workers)
    rows = examples(batch)
    model = Qwen3VL(config, rngs=nnx.Rngs(0))
    loss, seconds = ours(model, recipe, batch, options.repeat)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), model, jnp.float32)
        other_loss, other_seconds = theirs(folder, config, recipe, rows, options.repeat)
    if not np.isclose(loss, other_loss, rtol=1e-4):
        raise SystemExit(f"the losses differ: {loss} here, {other_loss} there: it is not the same work")
    longest = max(len(row["tokens"]) for row in rows)
    out = {
        "settings": vars(options),
        "examples": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "slots": {"jaxerm": batch.inputs.tokens.size, "transformers": longest * len(rows)},
        "loss": {"jaxerm": loss, "transformers": other_loss},
        "seconds": {"jaxerm": seconds, "transformers": other_seconds},
        "ratio": other_seconds / seconds,
    }
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
