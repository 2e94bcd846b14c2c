"""Operations and bytes are counted as small programs, worked out by hand, say they must be."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxerm.models.attention import Kernel, attention
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.flops import decode_flops, forward_flops
from jaxerm.models.qwen3_vl.layers import REMAT_POLICIES
from jaxerm.models.qwen3_vl.model import abstract_model
from jaxerm.models.qwen3_vl.sizes import size_config
from jaxerm.models.sharding import make_mesh
from jaxerm.plan.collectives import collective_bytes
from jaxerm.plan.flops import program_flops
from jaxerm.plan.programs import abstract_inputs, model_config
from tests.models import reference


def counted(function, *arguments):
    return program_flops(jax.jit(function).trace(*arguments).jaxpr.jaxpr)


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_a_scan_of_matmuls_counts_each_turn_and_recomputation():
    def layers(x, w):
        return jnp.sum(jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)[0])

    once = 2 * 5 * 8 * 16 * 16
    x, w = array(8, 16), array(5, 16, 16)
    assert counted(layers, x, w) == once
    assert counted(jax.grad(layers, argnums=(0, 1)), x, w) == 3 * once

    def again(x, w):
        body = jax.checkpoint(lambda h, w: (jnp.tanh(h @ w), None))
        return jnp.sum(jax.lax.scan(body, x, w)[0])

    assert counted(jax.grad(again, argnums=(0, 1)), x, w) == 4 * once


@pytest.mark.parametrize("kind", reference.KINDS)
def test_the_program_of_a_model_does_what_the_formula_says(kind):
    config = Qwen3VLConfig.from_hf(reference.hf_config(**reference.KINDS[kind]))
    graphdef, params = nnx.split(abstract_model(config))
    rows, length = 2, 32
    inputs = abstract_inputs(config, rows, length, 0, make_mesh({}))
    program = counted(lambda p, i: nnx.merge(graphdef, p)(i), params, inputs)
    text = config.text
    # XLA's attention multiplies the whole square, of which a causal model needs the lower half.
    upper = 2 * 2 * rows * text.num_layers * text.num_heads * text.head_dim * length * (length - 1) / 2
    assert program - upper == forward_flops(config, rows, length, 0)


def test_the_formula_of_the_vision_tower_counts_its_matmuls():
    config = Qwen3VLConfig.from_hf(reference.hf_config())
    graphdef, params = nnx.split(abstract_model(config))
    inputs = abstract_inputs(config, 2, 96, 64, make_mesh({})).vision
    program = counted(lambda p, i: nnx.merge(graphdef, p).visual(i), params, inputs)
    formula = forward_flops(config, 2, 0, 64, predicted=0)
    # Above the formula: learned positions are looked up by a matmul.
    looked_up = 2 * 2 * 64 * 25 * (config.vision.hidden_size + 4)
    assert program == pytest.approx(formula + looked_up, rel=1e-6)


def test_the_8b_needs_about_two_operations_a_weight_and_token():
    config = size_config("8B")
    weights = 8_767_123_696 - 151_936 * 4096 - 576_000_000  # without the table of embeddings and the vision tower
    assert forward_flops(config, 1, 1, 0) == pytest.approx(2 * weights, rel=0.01)
    assert decode_flops(config, 4, 1) == pytest.approx(8 * weights, rel=0.01)
    active = forward_flops(size_config("30B-A3B"), 1, 1, 0) / 2
    assert 2.8e9 < active < 3.4e9


def test_splash_counts_the_blocks_it_visits():
    def run(causal):
        kernel = Kernel("splash", interpret=True)
        segments = jnp.ones((1, 512), jnp.int32)
        return counted(
            lambda q, k, v: attention(q, k, v, segments, segments, causal=causal, kernel=kernel),
            array(1, 512, 4, 64), array(1, 512, 2, 64), array(1, 512, 2, 64),
        )  # fmt: skip

    assert run(False) == 2 * 2 * 4 * 64 * 512 * 512


# Four blocks of 512 along each side, of which a causal mask leaves ten. Backward there are three products for the
# queries and four for keys and values; forward two, once more where they are not kept.
@pytest.mark.parametrize(
    ("causal", "remat", "visited"),
    [(True, "full", 11 * 10 / 16), (False, "full", 11), (True, "attention", 9 * 10 / 16), (False, "dots", 9)],
)
def test_splash_counts_the_blocks_it_visits_backwards_and_inside_a_scan_too(causal, remat, visited):
    length, heads, depth = 2048, 2, 64
    segments = jnp.ones((1, length), jnp.int32)
    kernel = Kernel("splash", interpret=True)

    def layer(h, _):
        q = h.reshape(1, length, heads, depth)
        return attention(q, q, q, segments, segments, causal=causal, kernel=kernel).reshape(h.shape), None

    def loss(h):
        kept = jax.checkpoint(layer, prevent_cse=False, policy=REMAT_POLICIES[remat])
        return jnp.sum(jax.lax.scan(kept, h, None, length=3)[0])

    found = counted(jax.grad(loss), array(1, length, heads * depth))
    assert found == pytest.approx(3 * visited * 2 * heads * depth * length**2, rel=1e-3)


def test_collectives_of_a_loop_count_each_turn():
    mesh = make_mesh({"fsdp": 4})

    def of(shape, *axes):
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, P(*axes)))

    def layers(x, w):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)[0]

    compiled = jax.jit(layers).lower(of((64, 256), "fsdp"), of((6, 256, 256), None, "fsdp")).compile()
    moved = collective_bytes(compiled.as_text())
    assert moved["all-gather"] == 6 * 256 * 256 * 4
    assert sum(moved.values()) == moved["all-gather"]
    assert not any(collective_bytes(jax.jit(jnp.sin).lower(array(4)).compile().as_text()).values())


def test_a_model_is_known_by_its_directory_or_its_size(tmp_path):
    reference.write_directory(tmp_path / "8B", reference.hf_config())
    assert model_config(str(tmp_path / "8B")).text.num_layers == 3
    assert model_config("Qwen/Qwen3-VL-30B-A3B-Instruct") == size_config("30B-A3B")
    assert model_config("runs/erm_8b/model") == size_config("8B")
    with pytest.raises(ValueError, match="somewhere/else: no config.json there, and no released size"):
        model_config("somewhere/else")


def test_a_loop_of_collectives_counts_each_turn_however_its_length_is_written():
    text = """
%body (p: (bf16[4,8], u32[])) -> (bf16[4,8], u32[]) {
  %permute = bf16[4,8]{1,0} collective-permute(%x), channel_id=1, backend_config={"nested":{
  }}
}

%condition (p: (bf16[4,8], u32[])) -> pred[] {
  %limit = u32[]{:T(128)} constant(7)
}

ENTRY %main (a: bf16[4,8]) -> bf16[4,8] {
  %kernel = bf16[4,8] custom-call(%a), backend_config={"lines":{
  }}
  %loop = (bf16[4,8]{1,0}, u32[]) while(%start), condition=%condition, body=%body
}
"""
    assert collective_bytes(text)["collective-permute"] == 7 * 4 * 8 * 2
