"""A policy's own mistakes as pairs: the right answer beside the right picture, and only what can be compared."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxerm.data.examples import pair_example
from jaxerm.data.natural.routes import DrawingShapes, natural_pairs
from jaxerm.data.pair_files import write_pairs
from jaxerm.data.sources import open_source
from jaxerm.models.sampler import Sampling
from jaxerm.prompts import Prompts, fenced
from jaxerm.recipe_schema import Mix
from jaxerm.train import natural
from jaxerm.train.mixture import components

SOURCE = open_source("drawings", max_shapes=2, min_shapes=2, seed=4)


def answers_to(programs):
    """Three a program: exact, without its last shape, and something that is no drawing."""
    texts = []
    for program in programs:
        lines = program.code.split("\n")
        fewer = "\n".join([*lines[:-2], lines[-1]])
        texts += [fenced(program.code, "svg"), fenced(fewer, "svg"), "I cannot see it."]
    return texts


@pytest.fixture
def pairs(pool, monkeypatch):
    asked = []

    def sample_rollouts(policy, params, pictures, prompts, sampling, *, n, seed, rows, **shapes):
        start = sum(asked)
        asked.append(len(pictures))
        assert (sampling, n, shapes) == (Sampling(1.0), 3, {"max_new_tokens": 160, "length": 64, "patches": 64})
        return SimpleNamespace(texts=answers_to([SOURCE[start + i] for i in range(len(pictures))]))

    monkeypatch.setattr(natural, "sample_rollouts", sample_rollouts)
    attempts = natural.sample_attempts(
        SimpleNamespace(params=None),
        SOURCE,
        range(5),
        pool,
        Prompts("brief"),
        n=3,
        max_new_tokens=160,
        length=64,
        patches=64,
        rows=2,
    )
    found = list(natural_pairs(attempts, DrawingShapes()))
    assert asked == [2, 2, 1]
    return found


def test_attempts_stand_beside_their_own_reference(pairs, pool):
    assert len(pairs) == 10
    for index in range(5):
        exact, fewer = pairs[2 * index : 2 * index + 2]
        program = SOURCE[index]
        assert exact.reference_code == fewer.reference_code == program.code
        assert exact.critique.errors == ()
        np.testing.assert_array_equal(exact.prediction, exact.reference)
        np.testing.assert_array_equal(fewer.reference, pool.render("svg", program.code).image)
        [error] = fewer.critique.errors
        assert error.severity == 3 and error.description.endswith("is missing")
        assert (fewer.prediction != fewer.reference).any()
    assert len({pair.id for pair in pairs}) == 10


def test_written_attempts_are_a_part_of_a_mixture(pairs, pool, tmp_path):
    write_pairs(pairs, tmp_path)
    settings = {"seed": 0, "max_edits": 3, "clean_share": 0.15}
    part = Mix(source=str(tmp_path), role="critique", weight=0.3)
    [component] = components([part], pool, Prompts("brief"), **settings)
    assert (component.size, component.weight) == (10, 0.3)
    got, wanted = component.make(3), pair_example("critique", pairs[3], Prompts("brief"))
    assert got.answer == wanted.answer
    for one, other in zip(got.messages[0]["content"][:2], wanted.messages[0]["content"][:2], strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
    for wrong in ({"role": "code"}, {"max_edits": 2}, {"options": {"seed": 1}}):
        with pytest.raises(ValueError, match="written pairs"):
            components([Mix(source=str(tmp_path), **wrong)], pool, Prompts("brief"), **settings)
    write_pairs([], tmp_path)
    with pytest.raises(ValueError, match="no pair in"):
        components([part], pool, Prompts("brief"), **settings)
