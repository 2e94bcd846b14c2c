"""How often a tiny model answers exactly, greedily, on drawings it has not seen: one line a role.

python benchmarks/roles.py models/tiny-base --n 128
"""

from __future__ import annotations

import argparse

from jaxerm.data.examples import pair_example, picture_example
from jaxerm.data.pairs import PairMaker
from jaxerm.data.sources import open_source
from jaxerm.models.language import load
from jaxerm.models.sampler import Sampling
from jaxerm.prompts import Prompts
from jaxerm.render import RenderOptions, RenderPool

ROLES = ("describe", "code", "compare", "compare_json", "edit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--n", type=int, default=128, help="drawings")
    parser.add_argument("--shapes", type=int, default=3, help="most shapes of a drawing; at least two")
    parser.add_argument("--edits", type=int, default=2, help="most differences of a pair")
    parser.add_argument("--roles", nargs="+", default=ROLES, choices=ROLES)
    options = parser.parse_args()

    model, prompts = load(options.model), Prompts("brief")
    source = open_source("drawings", max_shapes=options.shapes, min_shapes=min(2, options.shapes), seed=777)
    with RenderPool(1, options=RenderOptions(svg_size=64)) as pool:
        maker = PairMaker(source, pool, seed=5, max_edits=options.edits)
        pairs = [maker.make(index) for index in range(options.n)]
    for role in options.roles:
        if role in ("describe", "code"):
            examples = [picture_example(role, source[i], pair.reference, prompts) for i, pair in enumerate(pairs)]
        else:
            examples = [pair_example(role, pair, prompts) for pair in pairs]
        samples = [model.processor.sample(example.messages) for example in examples]
        texts = model.text(model.answer(samples, Sampling(0.0), max_new_tokens=192, rows=32))
        exact = sum(text == example.answer.strip() for text, example in zip(texts, examples, strict=True))
        print(f"{role:13s} {exact / options.n:.3f} of {options.n} exact", flush=True)


if __name__ == "__main__":
    main()
