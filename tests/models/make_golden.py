"""Stores what Hugging Face computes, for machines without PyTorch: ``python -m tests.models.make_golden``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tests.models import reference

GOLDEN = Path(__file__).parent / "golden" / "qwen3_vl.npz"
TOKENS, VOCABULARY = 10, 12
"""Logits kept of each prompt: at the last tokens, of every eighth entry of the vocabulary."""


def select(logits: np.ndarray) -> np.ndarray:
    """float32[S, vocab] -> float32[TOKENS, VOCABULARY]."""
    return logits[-TOKENS:, :: logits.shape[1] // VOCABULARY]


def make_golden(path: Path = GOLDEN) -> None:
    """Runs Hugging Face on every prompt alone, unpadded, for every kind of network."""
    import transformers

    from tests.models import huggingface

    out = {"transformers": np.array(transformers.__version__)}
    for kind, settings in reference.KINDS.items():
        config = reference.hf_config(**settings)
        with tempfile.TemporaryDirectory() as folder:
            model = huggingface.open_model(reference.write_directory(Path(folder), config))
        out[f"{kind}/weights"] = np.array(reference.checksum(reference.tensors(config)))
        for name in (*reference.GRIDS, "video"):
            sample = reference.prompt(name)
            out[f"{kind}/{name}"] = select(huggingface.logits(model, [sample])[0])
            out[f"positions/{name}"] = huggingface.positions(model, sample).astype(np.int16)
    np.savez_compressed(path, **out)


if __name__ == "__main__":
    make_golden()
