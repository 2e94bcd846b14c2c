"""How the tests here run a model and make up what it sees."""

from __future__ import annotations

import jax
import numpy as np
from flax import nnx
from PIL import Image

from jaxerm.models.qwen3_vl.inputs import batch_inputs
from tests.models import reference


def run(forward, model, samples, *, length=reference.LENGTH, patches=reference.PATCHES, pad_left=False, change=None):
    """float32[S, vocab] of each sample, all in one batch; `change` may tamper with the batch."""
    inputs = batch_inputs(samples, model.config, length=length, patches=patches, pad_left=pad_left)
    out = np.asarray(forward(*nnx.split(model), inputs if change is None else change(inputs)))
    return [row[mask] for row, mask in zip(out, np.asarray(inputs.segment_ids) > 0, strict=True)]


def new_forward():
    """A forward pass that is traced anew, for tests that replace what it is made of."""
    return jax.jit(lambda graphdef, params, inputs: nnx.merge(graphdef, params)(inputs), static_argnums=0)


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    """Coloured noise: nothing in it is like anything else."""
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8))


def question(text: str, *images) -> list[dict]:
    parts = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
