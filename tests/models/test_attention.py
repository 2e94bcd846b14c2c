"""Every way to compute attention, and log-probs in chunks, gives what the plain way gives, forwards and backwards."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxerm.models.attention import Kernel, attention
from jaxerm.models.log_probs import chunked_log_probs
from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.sharding import make_mesh
from jaxerm.models.splash import seen_blocks
from jaxerm.train.losses import next_token_log_probs
from tests.models import reference

SPLASH = Kernel("splash", interpret=True)


def arrays(length=150, batch=2, heads=4, kv_heads=2, depth=24):
    """Two samples and padding in each row, cut elsewhere in each; a length and a depth that fit no tile."""
    draw = np.random.RandomState(0).randn
    q, k, v = (draw(batch, length, count, depth).astype(np.float32) for count in (heads, kv_heads, kv_heads))
    ends = [(length // (3 + row), length * 5 // (6 + row)) for row in range(batch)]
    place = np.arange(length)
    segments = np.stack([1 + (place >= first) - 2 * (place >= second) for first, second in ends])
    return q, k, v, segments.astype(np.int32)


def value_and_gradients(kernel, causal, q, k, v, segments):
    def loss(q, k, v):
        out = attention(q, k, v, segments, segments, causal=causal, kernel=kernel)
        return jnp.sum(jnp.where(segments[..., None, None] > 0, jnp.sin(out), 0)), out

    (_, out), gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    return np.where(segments[..., None, None] > 0, out, 0), gradients


@pytest.mark.parametrize("length", [150, 600], ids=["two blocks", "five blocks"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
def test_splash_equals_xla_forwards_and_backwards(causal, length):
    q, k, v, segments = arrays(length)
    ours, our_gradients = value_and_gradients(SPLASH, causal, q, k, v, segments)
    plain, gradients = value_and_gradients(Kernel("xla"), causal, q, k, v, segments)
    np.testing.assert_allclose(ours, plain, atol=1e-5)
    for mine, theirs in zip(our_gradients, gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
def test_splash_leaves_out_blocks_between_samples(causal):
    q, k, v, _ = arrays(length=384)
    # Blocks are of 128: where a block is computed only to be masked, nothing times infinity is no number.
    segments = np.stack([np.repeat([1, 2, 0], 128), np.repeat([1, 2, 2], 128)]).astype(np.int32)
    other = segments == 1
    q[other], k[other], v[other] = np.inf, np.inf, np.inf

    def loss(*x):
        out = attention(*x, segments, segments, causal=causal, kernel=SPLASH)
        return jnp.sum(jnp.where(other[..., None, None], 0, out)), out

    (_, out), gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    for x in (out, *gradients):
        assert np.isfinite(np.asarray(x)[~other]).all()


def test_a_block_is_seen_where_its_segments_meet():
    ids = jnp.asarray([1, 1, 2, 2, 2, 3, 0, 0, 0, 0], jnp.int32)
    causal = ["1....", ".1...", ".11..", "...1.", "....1"]
    full = ["1....", ".11..", ".11..", "...1.", "....1"]
    for expected in (causal, full):
        seen = seen_blocks(ids, ids, 2, causal=expected is causal)
        assert ["".join(".1"[int(x)] for x in row) for row in seen] == expected
    # Padding in front, as prompts have it: a block of both padding and text sees either.
    ids = jnp.asarray([0, 0, 0, 0, 0, 1, 1, 1], jnp.int32)
    seen = seen_blocks(ids, ids, 2, causal=True)
    assert ["".join(".1"[int(x)] for x in row) for row in seen] == ["1...", ".1..", "111.", "..11"]
    # Whose segment no key has still sees a block, for otherwise nothing would be divided by nothing.
    assert seen_blocks(ids, ids + 2, 2, causal=False).diagonal().all()


def test_splash_on_a_mesh_works_on_each_devices_rows_and_heads():
    q, k, v, segments = arrays(length=128)
    mesh = make_mesh({"fsdp": 2, "tensor": 2})
    spread = Kernel("splash", mesh, interpret=True)
    ours = jax.jit(lambda *x: attention(*x, segments, segments, causal=True, kernel=spread))(q, k, v)
    plain = attention(q, k, v, segments, segments, causal=True)
    real = segments > 0
    np.testing.assert_allclose(np.asarray(ours)[real], np.asarray(plain)[real], atol=1e-5)
    assert len(ours.sharding.device_set) == 4


def test_cudnn_says_what_it_cannot_take():
    q, k, v, segments = arrays(length=8)
    with pytest.raises(ValueError, match="cuDNN's attention takes bfloat16 or float16, not float32"):
        attention(jnp.asarray(q), k, v, segments, segments, causal=True, kernel=Kernel("cudnn"))


@pytest.mark.skipif("gpu" not in {device.platform for device in jax.devices()}, reason="needs a GPU")
def test_cudnn_equals_xla():
    q, k, v, segments = arrays(length=128, depth=64)
    q, k, v = (jnp.asarray(x, jnp.bfloat16) for x in (q, k, v))
    ours = attention(q, k, v, segments, segments, causal=True, kernel=Kernel("cudnn"))
    plain = attention(q, k, v, segments, segments, causal=True)
    real = segments > 0
    np.testing.assert_allclose(np.asarray(ours)[real], np.asarray(plain)[real], atol=2e-2)


def test_the_kernel_of_a_platform_is_known_and_no_other_name_is():
    assert [Kernel.best(name).name for name in ("tpu", "gpu", "cpu")] == ["splash", "cudnn", "xla"]
    with pytest.raises(ValueError, match="attention 'flash' is unknown; there are xla, splash, cudnn"):
        Kernel("flash")


def test_chunks_give_the_log_probs_and_gradients_of_the_whole(reference_model):
    samples = reference.prompts()
    inputs = batch_inputs(samples, reference_model.config, length=reference.LENGTH, patches=reference.PATCHES)
    banned = np.arange(96) == reference.IMAGE
    graphdef, params = nnx.split(reference_model)
    mask = (inputs.segment_ids > 0) & (inputs.tokens != reference.IMAGE)

    def chunked(model):
        hidden, _ = model.hidden_states(inputs)
        out = chunked_log_probs(
            model.unembed, hidden[:, :-1], inputs.tokens[:, 1:], temperature=0.7, banned=banned, chunk=20
        )
        return jnp.pad(out, ((0, 0), (1, 0)))

    def whole(model):
        return next_token_log_probs(model, inputs, temperature=0.7, banned=banned)

    def run(log_probs):
        def loss(params):
            out = log_probs(nnx.merge(graphdef, params))
            return jnp.sum(jnp.where(mask, out, 0)), out

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    ((_, ours), our_gradients), ((_, theirs), gradients) = run(chunked), run(whole)
    np.testing.assert_allclose(np.where(mask, ours, 0), np.where(mask, theirs, 0), atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), our_gradients, gradients)


def test_what_is_not_wanted_is_zero_and_the_rest_as_of_the_whole():
    random = np.random.RandomState(0)
    hidden, table = random.randn(3, 21, 4).astype(np.float32), random.randn(4, 9).astype(np.float32)
    targets, factors = random.randint(0, 9, (3, 21)), random.randn(3, 21).astype(np.float32)
    # No answer, a whole row, and one in the midst of a prompt.
    wanted = np.zeros((3, 21), bool)
    wanted[1], wanted[2, 7:12] = True, True

    def run(**kinds):
        def loss(hidden, table):
            out = chunked_log_probs(lambda h: h @ table, hidden, targets, **kinds)
            return jnp.sum(jnp.where(wanted, out * factors, 0)), out

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(hidden, table)

    (_, whole), gradients = run(chunk=21)
    for chunk in (4, 21):
        (_, some), some_gradients = run(wanted=jnp.asarray(wanted), chunk=chunk)
        np.testing.assert_allclose(some, np.where(wanted, whole, 0), atol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), some_gradients, gradients)


def test_chunks_without_an_answer_are_left_out():
    hidden = np.random.RandomState(0).randn(2, 24, 4).astype(np.float32)
    wanted = np.zeros((2, 24), bool)
    wanted[0, 9:15], wanted[1, 18:] = True, True
    # Six in a row: with two others, one chunk of eight. An infinity in another chunk would spoil the table's gradient.
    spare = np.cumsum(~wanted, axis=1) * ~wanted
    hidden[spare > 2] = np.inf

    def loss(table):
        targets = jnp.zeros((2, 24), jnp.int32)
        return jnp.sum(chunked_log_probs(lambda h: h @ table, hidden, targets, jnp.asarray(wanted), chunk=8))

    assert np.isfinite(jax.jit(jax.grad(loss))(jnp.ones((4, 9)))).all()


def test_chunks_never_hold_the_logits_of_all_positions():
    hidden, table = jax.ShapeDtypeStruct((2, 64, 8), jnp.float32), jax.ShapeDtypeStruct((8, 1000), jnp.float32)
    targets = jax.ShapeDtypeStruct((2, 64), jnp.int32)

    wanted = jax.ShapeDtypeStruct((2, 64), bool)

    def loss(hidden, table, targets, wanted):
        return jnp.sum(chunked_log_probs(lambda h: h @ table, hidden, targets, wanted, chunk=16))

    # The table learns or, as with LoRA, does not: then it must not be kept once for every chunk.
    for learned, some in (((0, 1), None), ((0, 1), wanted), (0, wanted)):
        text = jax.jit(jax.grad(loss, argnums=learned)).lower(hidden, table, targets, some).as_text()
        assert "tensor<2x16x1000xf32>" in text
        assert not any(shape in text for shape in ("2x64x1000", "4x2x16x1000", "128x1000", "4x8x1000"))
