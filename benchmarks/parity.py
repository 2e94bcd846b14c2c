"""Largest difference of logits to Hugging Face on PyTorch: same random weights, same inputs, float32 and bfloat16.

    python -m benchmarks.parity

The network is the small one of the tests (every kind of layer, none of the size). ``float32`` and ``bfloat16`` compare
both sides in that format; ``their_bfloat16`` is what Hugging Face's own bfloat16 is away from its float32, and
what rounding alone does. ``largest`` is of the logits themselves.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.inputs import Sample, batch_inputs
from jaxerm.models.qwen3_vl.weights import load_weights
from tests.models import huggingface, reference


def long_text(tokens: int) -> Sample:
    words = np.random.RandomState(0).randint(0, 90, tokens).astype(np.int32)
    return Sample(words, np.zeros((0, 96), np.float32), ())


def flat_image(height: int, width: int) -> Sample:
    """A prompt with one image of so many pixels, in the released models' patches of 16."""
    grid = (1, height // 16, width // 16)
    count = grid[1] * grid[2]
    random = np.random.RandomState(1)
    image = [reference.VISION_START, *[reference.IMAGE] * (count // 4), reference.VISION_END]
    tokens = [*random.randint(0, 90, 7), *image, *random.randint(0, 90, 5)]
    patches = random.uniform(-1, 1, (count, 96)).astype(np.float32)
    return Sample(np.asarray(tokens, np.int32), patches, (grid,))


CASES: dict[str, tuple[str, list[Sample]]] = {
    "text": ("tied", [reference.prompt("text")]),
    "one image": ("tied", [reference.prompt("one_image")]),
    "two images of different aspect": ("tied", [reference.prompt("two_images")]),
    "batch of unequal prompts": ("tied", reference.prompts()),
    "image of 32 x 1024 pixels": ("tied", [flat_image(32, 1024)]),
    "4 video frames": ("tied", [reference.prompt("video")]),
    "untied, batch": ("untied", reference.prompts()),
    "mixture of experts, batch": ("moe", reference.prompts()),
    "4,096 tokens": ("tied", [long_text(4096)]),
}


@jax.jit(static_argnums=0)
def _forward(graphdef, params, inputs):
    return nnx.merge(graphdef, params)(inputs)


def ours(directory: Path, samples: Sequence[Sample], dtype: str) -> list[np.ndarray]:
    """float32[S, vocab] of each sample, run as one batch."""
    config = Qwen3VLConfig.load(directory)
    kind = jnp.dtype(dtype)
    model = load_weights(directory, config, dtype=kind, param_dtype=kind)
    length = -(-max(len(sample.tokens) for sample in samples) // 32) * 32
    patches = -(-max(len(sample.patches) for sample in samples) // 32) * 32
    inputs = batch_inputs(samples, config, length=length, patches=patches)
    out = np.asarray(_forward(*nnx.split(model), inputs), np.float32)
    return [row[: len(sample.tokens)] for row, sample in zip(out, samples, strict=True)]


@torch.no_grad()
def theirs(directory: Path, samples: Sequence[Sample], dtype: str) -> list[np.ndarray]:
    """The same."""
    model = huggingface.open_model(directory).to(getattr(torch, dtype))
    if getattr(model.config.text_config, "num_experts", 0):
        # PyTorch's grouped product takes only rows of whole 16 bytes; expert by expert takes all.
        model.set_experts_implementation("eager")
    inputs = huggingface.arguments(model, samples)
    out = model(**inputs).logits.float().numpy()
    return [row[: len(sample.tokens)] for row, sample in zip(out, samples, strict=True)]


def apart(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(left, right, strict=True))


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        directories = {
            kind: reference.write_directory(Path(folder) / kind, reference.hf_config(**settings))
            for kind, settings in reference.KINDS.items()
        }
        for name, (kind, samples) in CASES.items():
            exact, short = (theirs(directories[kind], samples, dtype) for dtype in ("float32", "bfloat16"))
            largest = max(float(np.abs(row).max()) for row in exact)
            difference = apart(ours(directories[kind], samples, "float32"), exact)
            found[name] = {
                "largest": largest,
                "float32": difference,
                "float32_relative": difference / largest,
                "bfloat16": apart(ours(directories[kind], samples, "bfloat16"), short),
                "their_bfloat16": apart(short, exact),
            }
            print(f"{name}: {found[name]['float32_relative']:.1e}", file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
