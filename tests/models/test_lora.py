"""LoRA: an update that is nothing at first, means what its formula says, and disappears into the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxerm.models.language import load
from jaxerm.models.lora import add_lora, is_lora, merge_lora

forward = jax.jit(lambda graphdef, params, inputs: nnx.merge(graphdef, params)(inputs), static_argnums=0)


@pytest.fixture(scope="module")
def inputs(micro):
    image = np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "svg: judge the attempt"}]
    return micro.batch([micro.processor.sample([{"role": "user", "content": content}])])


@pytest.fixture(scope="module")
def updated(micro):
    """Definition and parameters with an update that does something."""
    graphdef, params = nnx.split(add_lora(micro.module, rank=3, alpha=6.0, seed=1))
    factors, rest = nnx.split_state(params, is_lora, ...)
    factors = jax.tree.map(lambda x: x + 0.05 * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, factors)
    return graphdef, nnx.merge_state(factors, rest)


def test_a_fresh_update_changes_nothing(micro, inputs):
    graphdef, params = nnx.split(add_lora(micro.module, rank=3, alpha=6.0))
    expected = forward(micro.graphdef, micro.params, inputs)
    np.testing.assert_array_equal(forward(graphdef, params, inputs), expected)


def test_merged_weights_say_what_the_update_said(micro, inputs, updated):
    plain = forward(micro.graphdef, micro.params, inputs)
    expected = forward(*updated, inputs)
    assert float(jnp.abs(expected - plain).max()) > 0.1
    graphdef, params = nnx.split(merge_lora(nnx.merge(*updated)))
    assert graphdef == micro.graphdef
    np.testing.assert_allclose(forward(graphdef, params, inputs), expected, atol=2e-4)


def test_a_kernel_gets_alpha_over_r_times_the_product(micro, updated):
    before = micro.module.decoder.late.q_proj
    layer = nnx.merge(*updated).decoder.late.q_proj
    merged = merge_lora(nnx.merge(*updated)).decoder.late.q_proj
    product = np.einsum("lir,lro->lio", np.asarray(layer.lora_a[...], np.float64), np.asarray(layer.lora_b[...]))
    np.testing.assert_allclose(merged.kernel[...], before.kernel[...] + 2.0 * product, atol=1e-6)


def test_a_saved_model_holds_the_update(micro, updated, inputs, tmp_path):
    graphdef, params = updated
    type(micro)(graphdef, params, micro.processor).save(tmp_path / "model", dtype=jnp.float32)
    loaded = load(tmp_path / "model")
    got = forward(loaded.graphdef, loaded.params, inputs)
    np.testing.assert_allclose(got, forward(graphdef, params, inputs), atol=2e-4)


def test_a_name_that_no_layer_has_is_refused(micro):
    with pytest.raises(ValueError, match="no linear layer is called query"):
        add_lora(micro.module, 2, 2.0, ["query"])
