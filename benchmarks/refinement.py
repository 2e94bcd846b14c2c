"""Measures refinement once more with the models that a demo left: drafts and what is kept, by reward and by pixels.

python benchmarks/refinement.py runs/demo --seed 0
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from jaxerm.demo import judge_of, refine_drawings, scoring_of
from jaxerm.models.language import load
from jaxerm.recipe import load_recipe
from jaxerm.render import RenderOptions, RenderPool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    recipe = load_recipe("tiny_svg_grpo")
    erm = judge_of(load(options.demo / "erm_sft" / "model"), recipe)
    policy = load(options.demo / "grpo" / "model")
    with RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render)) as pool:
        _, drafts, kept = refine_drawings(policy, erm, pool, scoring_of(recipe), recipe, options.seed)
    print(json.dumps({"drafts": drafts, "kept": kept}, indent=2))


if __name__ == "__main__":
    main()
