"""A mixture of experts does what a loop over tokens and experts does, forwards and backwards, alone and on a mesh."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.experts import Experts
from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.qwen3_vl.weights import flat_params, load_weights
from jaxerm.models.sampler import Sampling, generate, rearrange, row_keys
from jaxerm.models.sharding import make_mesh, param_spec, shard_batch, shard_model
from tests.models import reference


@pytest.fixture(scope="module")
def moe_model(tmp_path_factory):
    directory = reference.write_directory(tmp_path_factory.mktemp("moe"), reference.hf_config(**reference.KINDS["moe"]))
    return load_weights(directory, Qwen3VLConfig.load(directory))


@pytest.fixture(scope="module")
def experts(moe_model):
    layer = Experts(moe_model.config.text, dtype=jnp.float32, param_dtype=jnp.float32, rngs=nnx.Rngs(0))
    layer.router.kernel[...] *= 3
    return layer


def by_hand(layer, x):
    """One token after the other, each through its own experts."""
    router, gate_up, down = (np.asarray(p[...]) for p in (layer.router.kernel, layer.gate_up_kernel, layer.down_kernel))
    out = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-1]):
        scores = np.exp(x[place] @ router)
        best = np.argsort(-scores)[: layer.per_token]
        for expert in best:
            gate, up = x[place] @ gate_up[0, expert], x[place] @ gate_up[1, expert]
            out[place] += scores[expert] / scores[best].sum() * (gate / (1 + np.exp(-gate)) * up @ down[expert])
    return out


def test_each_token_is_read_by_its_own_experts_alone(experts):
    x = np.random.RandomState(0).randn(2, 9, 40).astype(np.float32)
    np.testing.assert_allclose(experts(x), by_hand(experts, x), atol=1e-5)


def test_an_expert_that_no_token_picks_changes_nothing_and_all_may_pick_one(experts):
    lonely = nnx.clone(experts)
    router = np.zeros((40, 6), np.float32)
    router[0] = [9, 8, 0, 0, 0, 0]
    lonely.router.kernel[...] = jnp.asarray(router)
    x = np.random.RandomState(1).randn(1, 12, 40).astype(np.float32)
    x[..., 0] = 1
    np.testing.assert_allclose(lonely(x), by_hand(lonely, x), atol=1e-5)
    before = np.asarray(lonely(x))
    lonely.gate_up_kernel[...] *= jnp.ones(6).at[2:].set(7)[:, None, None]
    np.testing.assert_array_equal(lonely(x), before)


def test_gradients_are_those_of_all_experts_weighted_densely(experts):
    graphdef, params = nnx.split(experts)
    x = np.random.RandomState(2).randn(2, 5, 40).astype(np.float32)

    def dense(params, x):
        layer = nnx.merge(graphdef, params)
        weights = jax.nn.softmax(layer.router(x))
        kept = weights >= jax.lax.top_k(weights, layer.per_token)[0][..., -1:]
        weights = jnp.where(kept, weights, 0)
        weights /= weights.sum(axis=-1, keepdims=True)
        gate, up = jnp.einsum("bsh,gehi->gbsei", x, layer.gate_up_kernel[...])
        return jnp.einsum("bsei,eih,bse->bsh", jax.nn.silu(gate) * up, layer.down_kernel[...], weights)

    def loss(call):
        return jax.jit(jax.grad(lambda p, x: jnp.sum(jnp.sin(call(p, x))), argnums=(0, 1)))

    ours = loss(lambda p, x: nnx.merge(graphdef, p)(x))(params, x)
    theirs = loss(dense)(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, theirs)
    assert float(jnp.abs(ours[0]["router"]["kernel"][...]).max()) > 1e-3


def test_a_mesh_cuts_every_expert_and_changes_no_logit(moe_model, forward):
    inputs = batch_inputs(reference.prompts(), moe_model.config, length=reference.LENGTH, patches=reference.PATCHES)
    mesh = make_mesh({"fsdp": 2, "tensor": 2})
    graphdef, params = shard_model(moe_model, mesh)
    for path, value in flat_params(params).items():
        if "experts" in path and "kernel" in path:
            assert value.sharding.spec == param_spec(path, value.shape, mesh)
            if "router" not in path:
                assert value.addressable_shards[0].data.size * 4 == value.size, path
    out = np.asarray(forward(graphdef, params, shard_batch(inputs, mesh)))
    alone = np.asarray(forward(*nnx.split(moe_model), inputs))
    real = inputs.segment_ids > 0
    np.testing.assert_allclose(out[real], alone[real], rtol=1e-5, atol=3e-5)


def test_decoding_with_a_cache_reads_what_a_full_pass_reads(moe_model, forward):
    sample = reference.prompt("one_image")
    inputs = batch_inputs([sample], moe_model.config, length=64, patches=64)
    banned = np.isin(np.arange(96), list(reference.SPECIAL.values())[:4])
    keys, greedy = row_keys(0, np.arange(1)), Sampling(0.0).arrays()
    graphdef, params = nnx.split(moe_model)
    arguments = (graphdef, params, inputs, banned, keys, greedy)
    out = generate(*arguments, max_new_tokens=6)
    on_cpu = generate(*arguments, max_new_tokens=6, rearranged=rearrange(graphdef, params))
    assert on_cpu.tokens.tolist() == out.tokens.tolist()
    np.testing.assert_allclose(on_cpu.log_probs, out.log_probs, atol=1e-5)
    tokens = np.asarray(out.tokens)[0, : int(out.lengths[0])]
    shape = {"length": reference.LENGTH, "patches": reference.PATCHES}
    whole = batch_inputs([sample.extended(tokens)], moe_model.config, **shape)
    logits = np.array(forward(*nnx.split(moe_model), whole))[0, len(sample.tokens) - 1 :][: len(tokens)]
    logits[:, banned] = -np.inf
    assert logits.argmax(axis=1).tolist() == tokens.tolist()
