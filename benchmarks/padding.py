"""How much of a batch is padding, and how much are answers, as a recipe packs it.

    python -m benchmarks.padding erm_8b_sft batch_size=8      # about 80 pairs of charts, tables and icons

The recipe's own data are drawn, rendered and packed as its run would, with Qwen's own vocabulary and sizes of pictures;
no weights are needed. Prints JSON; `examples` is how many pairs the batch holds, `chunks_of_logits` how many of all
chunks of `logits_chunk` positions a row hold an answer once those are brought to the front: the others are left out.
`blocks_of_scores` says how many blocks of attention splash computes, rows together, of all in the pictures and of those
a causal mask leaves in the text, `left_out_of_forward` what share of a forward pass's operations the others would be.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from jaxerm.data.features import TrainBatch
from jaxerm.data.packing import Packing
from jaxerm.data.pipeline import batches
from jaxerm.models import splash
from jaxerm.models.qwen3_vl import flops
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.processor import Processor
from jaxerm.prompts import Prompts
from jaxerm.recipe import SftRecipe, load_recipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.train.mixture import components
from tests.models.released import write_released


def first_batch(recipe: SftRecipe, processor: Processor, workers: int) -> tuple[TrainBatch, dict[str, int]]:
    """The first batch of a run of the recipe, and how many examples were passed over for which reason."""
    data = recipe.data
    with RenderPool(workers, options=RenderOptions(**recipe.render)) as pool:
        how = {"seed": recipe.seed, "max_edits": data.max_edits, "clean_share": data.clean_share}
        parts = components(data.mixture, pool, Prompts(recipe.prompts), **how)
        packing = Packing(recipe.batch_size, recipe.max_length, recipe.max_patches, data.streams)
        stream = batches(parts, processor, packing, seed=recipe.seed, threads=2 * workers, prefetch=8)
        batch = next(stream)
        stream.close()
    return batch, stream.skipped


def blocks_of_scores(segments: np.ndarray, *, causal: bool) -> list[int]:
    """How many blocks of all rows' scores are computed, and how many there are, for segment ids int32[B, S]."""
    rows = [splash.seen_blocks(row, row, splash.block_size(segments.shape[1]), causal=causal) for row in segments]
    count = len(rows[0])
    return [int(sum(row.sum() for row in rows)), len(rows) * (count * (count + 1) // 2 if causal else count**2)]


def left_out(config: Qwen3VLConfig, length: int, patches: int, text: list[int], pictures: list[int]) -> float:
    """The share of a forward pass over whole rows that is scores of blocks left out; what grows with the square."""
    least = config.vision.spatial_merge_size**2
    text_scores = flops.text_flops(config, length) - length * flops.text_flops(config, 1)
    vision_scores = flops.vision_flops(config, patches) - patches / least * flops.vision_flops(config, least)
    out = text_scores * (1 - text[0] / text[1]) + vision_scores * (1 - pictures[0] / pictures[1])
    return out / flops.forward_flops(config, 1, length, patches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="erm_8b_sft")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.overrides)
    with tempfile.TemporaryDirectory() as folder:
        directory = write_released(Path(folder), "8B")
        config = Qwen3VLConfig.load(directory)
        batch, skipped = first_batch(recipe, Processor(directory, config), options.workers)
    inputs = batch.inputs
    tokens, patches = np.asarray(inputs.segment_ids), np.asarray(inputs.vision.segment_ids)
    most = int(np.count_nonzero(batch.weights, axis=1).max())
    chunk = recipe.logits_chunk or recipe.max_length
    text, pictures = blocks_of_scores(tokens, causal=True), blocks_of_scores(patches, causal=False)
    out = {
        "rows": recipe.batch_size,
        "examples": int(tokens.max(axis=1).sum()),
        "tokens_a_row": recipe.max_length,
        "patches_a_row": recipe.max_patches,
        "patches_a_token": round(float((patches > 0).sum() / (tokens > 0).sum()), 3),
        "padding_of_tokens": round(1 - float((tokens > 0).mean()), 4),
        "padding_of_patches": round(1 - float((patches > 0).mean()), 4),
        "answers_of_tokens": round(float((batch.weights > 0).sum() / (tokens > 0).sum()), 4),
        "chunks_of_logits": [-(-most // chunk), -(-recipe.max_length // chunk)],
        "blocks_of_scores": {"text": text, "pictures": pictures},
        "left_out_of_forward": round(left_out(config, tokens.shape[1], patches.shape[1], text, pictures), 3),
        "skipped": skipped,
    }
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
