"""What stands still stands still, what it saves is real, and parts of a batch add up to the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxerm.data.examples import pair_example
from jaxerm.data.pairs import PairMaker
from jaxerm.data.pipeline import Component, Packing, batches
from jaxerm.data.sources import open_source
from jaxerm.models.lora import is_lora
from jaxerm.prompts import Prompts
from jaxerm.recipe import SftRecipe
from jaxerm.recipe_schema import Optimizer
from jaxerm.train.sft import train_step
from jaxerm.train.state import TrainState, make_optimizer
from jaxerm.train.trainable import take_apart

OPTIMIZER = make_optimizer(Optimizer(lr=1e-2))


def recipe(**settings):
    data = {"mixture": [{"source": "drawings"}]}
    return SftRecipe.model_validate({"model": "unused", "out": "unused", "steps": 1, "data": data, **settings})


@pytest.fixture(scope="module")
def batch(micro, pool):
    maker = PairMaker(open_source("drawings", max_shapes=2), pool)

    def make(index):
        return pair_example("critique", maker.make(index), Prompts("brief"))

    return next(batches([Component(make, 10, 1.0)], micro.processor, Packing(4, 512, 256), seed=0))


def step(parts, batch, **settings):
    """One step; what was trained before and after, by path."""
    state = TrainState.create(jax.tree.map(jnp.copy, parts.params), OPTIMIZER)
    after, metrics = train_step(
        state, parts.frozen, batch.inputs, batch.weights, jnp.float32(1e-2), graphdef=parts.model.graphdef,
        optimizer=OPTIMIZER, **settings,
    )  # fmt: skip
    moved = {
        ".".join(map(str, path)): float(jnp.abs(new[...] - old[...]).max())
        for (path, old), (_, new) in zip(nnx.to_flat_state(parts.params), nnx.to_flat_state(after.params), strict=True)
    }
    return moved, after, metrics


def test_a_frozen_tower_is_not_in_the_optimiser_and_does_not_move(micro, batch):
    parts = take_apart(micro, recipe(freeze=["vision"]))
    moved, after, _ = step(parts, batch)
    assert not any(name.startswith("visual.stages") for name in moved)
    assert moved["visual.merger.fc1.kernel"] > 0 and moved["embed"] > 0
    held = {id(leaf) for leaf in jax.tree.leaves(parts.whole(after.params))}
    assert all(id(leaf) in held for leaf in jax.tree.leaves(parts.frozen))


def test_lora_trains_its_factors_alone(micro, batch):
    parts = take_apart(micro, recipe(lora={"rank": 2}))
    moved, after, _ = step(parts, batch)
    assert all(name.endswith(("lora_a", "lora_b")) for name in moved)
    assert not any(name.startswith("visual") for name in moved)
    assert all(size > 0 for name, size in moved.items() if name.endswith("lora_b"))
    moments = sum(leaf.size for leaf in jax.tree.leaves(after.opt_state))
    assert moments < sum(leaf.size for leaf in jax.tree.leaves(micro.params)) / 2
    vision = take_apart(micro, recipe(lora={"rank": 2, "vision": True}))
    assert any(path[0] == "visual" for path, _ in nnx.to_flat_state(vision.params))


def test_a_model_with_factors_keeps_them(micro):
    parts = take_apart(micro, recipe(lora={"rank": 2}))
    changed = jax.tree.map(lambda x: x + 1, parts.params)
    again = take_apart(parts.trained(changed, {}), recipe(lora={"rank": 2}))
    for one, two in zip(jax.tree.leaves(changed), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(one, two)
    assert all(is_lora(path) for path, _ in nnx.to_flat_state(again.params))


def test_freezing_everything_is_refused(micro):
    with pytest.raises(ValueError, match="leaves nothing to train"):
        take_apart(micro, recipe(freeze=["vision", "merger", "text"]))


def test_parts_of_a_batch_add_up_to_the_batch(micro, batch):
    """Rows hold answers of different lengths: a mean of the parts' means would be another loss."""
    parts = take_apart(micro, recipe())
    weights = batch.weights.copy()
    weights[0, np.flatnonzero(weights[0])[5:]] = 0
    batch = type(batch)(batch.inputs, weights)
    _, whole, metrics = step(parts, batch)
    _, added, same = step(parts, batch, accumulate=2)
    assert float(same["loss"]) == pytest.approx(float(metrics["loss"]), rel=1e-5)
    assert float(same["grad_norm"]) == pytest.approx(float(metrics["grad_norm"]), rel=1e-4)
    # Adam's first moment is the gradient itself, by a factor.
    for one, two in zip(jax.tree.leaves(whole.opt_state), jax.tree.leaves(added.opt_state), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
