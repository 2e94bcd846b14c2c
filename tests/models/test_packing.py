"""Samples packed into one row are read as if each were alone."""

from __future__ import annotations

import numpy as np

from jaxerm.data.examples import Example
from jaxerm.data.packing import Packing
from jaxerm.data.pipeline import Component, batches
from jaxerm.models.qwen3_vl.inputs import batch_inputs
from tests.models.harness import picture, question

EXAMPLES = [
    Example(question("What differs?", picture(0), picture(1, 32, 128)), "nothing"),
    Example(question("red"), "no picture here"),
    Example(question("And here?", picture(2, 48, 80)), "width"),
]
LENGTH, PATCHES = 192, 256


def test_a_packed_row_gives_each_sample_its_own_logits(small, forward):
    components = [Component(EXAMPLES.__getitem__, len(EXAMPLES), 1.0)]
    rows = batches(components, small.processor, Packing(1, LENGTH, PATCHES), seed=0, threads=1, prefetch=3)
    packed = next(rows)
    segments = packed.inputs.segment_ids[0]
    numbers = range(1, segments.max() + 1)
    assert set(segments.tolist()) == {0, *numbers}
    together = np.asarray(forward(small.graphdef, small.params, packed.inputs))[0]
    seen = set()
    for number in numbers:
        tokens = packed.inputs.tokens[0, segments == number]
        index, sample = next(
            (index, whole)
            for index, example in enumerate(EXAMPLES)
            for whole in [small.processor.sample(example.messages).extended(small.processor.completion(example.answer))]
            if whole.tokens.tolist() == tokens.tolist()
        )
        seen.add(index)
        inputs = batch_inputs([sample], small.config, length=LENGTH, patches=PATCHES)
        alone = np.asarray(forward(small.graphdef, small.params, inputs))[0, : len(tokens)]
        np.testing.assert_allclose(together[segments == number], alone, atol=1e-4)
        weights = packed.weights[0, segments == number]
        answer = small.processor.completion(EXAMPLES[index].answer)
        assert weights.sum() == len(answer) and (weights[-len(answer) :] == 1).all()
    assert seen == {0, 1, 2}
    assert (packed.weights[0, segments == 0] == 0).all()
