"""Optimisers: one sign and one scale for both, matrices orthogonalised layer by layer, decay where it belongs."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxerm.recipe_schema import Optimizer
from jaxerm.train.state import TrainState, make_optimizer

RNG = np.random.default_rng(0)
PARAMS = {
    "layers": {"q_proj": {"kernel": jnp.asarray(RNG.normal(size=(3, 8, 16)), jnp.float32)}},
    "embed": jnp.asarray(RNG.normal(size=(10, 8)), jnp.float32),
    "norm": {"weight": jnp.ones((8,), jnp.float32)},
}
GRADIENTS = {
    "layers": {"q_proj": {"kernel": jnp.asarray(RNG.normal(size=(3, 8, 16)), jnp.float32)}},
    "embed": jnp.asarray(RNG.normal(size=(10, 8)), jnp.float32),
    "norm": {"weight": jnp.asarray(RNG.normal(size=(8,)), jnp.float32)},
}


def one_step(name, **settings):
    optimizer = make_optimizer(Optimizer(name=name, clip_norm=None, **settings))
    state, _ = TrainState.create(PARAMS, optimizer).apply(GRADIENTS, optimizer, jnp.float32(0.1))
    return {
        "kernel": np.asarray(PARAMS["layers"]["q_proj"]["kernel"] - state.params["layers"]["q_proj"]["kernel"]) / 0.1,
        "embed": np.asarray(PARAMS["embed"] - state.params["embed"]) / 0.1,
        "norm": np.asarray(PARAMS["norm"]["weight"] - state.params["norm"]["weight"]) / 0.1,
    }


def test_muon_orthogonalises_every_layer_by_itself():
    """Five Newton-Schulz steps bring singular values near 1; 0.2 sqrt(16) is the scale that equals AdamW's."""
    for layer, gradient in zip(
        one_step("muon")["kernel"], np.asarray(GRADIENTS["layers"]["q_proj"]["kernel"]), strict=True
    ):
        left, values, right = np.linalg.svd(layer, full_matrices=False)
        assert np.all((values > 0.5 * 0.8) & (values < 1.4 * 0.8)), values
        # The polar factor of the gradient, of its own layer's and with its sign.
        exact_left, _, exact_right = np.linalg.svd(gradient, full_matrices=False)
        cosine = np.sum((left @ right) * (exact_left @ exact_right)) / 8
        assert cosine > 0.9


@pytest.mark.parametrize(("name", "size"), [("adamw", 1.0), ("muon", 1 + 0.9 * 0.1 / (1 - 0.9**2))])
def test_what_is_no_matrix_follows_adam(name, size):
    """Adam's first step is the sign of the gradient; Nesterov's momentum looks one step ahead."""
    updates = one_step(name)
    for leaf in ("embed", "norm"):
        gradient = np.asarray(GRADIENTS["embed"] if leaf == "embed" else GRADIENTS["norm"]["weight"])
        np.testing.assert_allclose(updates[leaf], size * np.sign(gradient), atol=1e-3)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_decay_pulls_at_matrices_and_leaves_norms(name):
    plain, decayed = one_step(name), one_step(name, weight_decay=0.5)
    np.testing.assert_allclose(decayed["embed"] - plain["embed"], 0.5 * np.asarray(PARAMS["embed"]), atol=1e-4)
    kernel = 0.5 * np.asarray(PARAMS["layers"]["q_proj"]["kernel"])
    np.testing.assert_allclose(decayed["kernel"] - plain["kernel"], kernel, atol=1e-4)
    np.testing.assert_allclose(decayed["norm"], plain["norm"], atol=1e-6)
