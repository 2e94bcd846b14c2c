"""A mixture of experts in place of an MLP: each token is read by the few experts its router picks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxerm.models.qwen3_vl.config import TextConfig
from jaxerm.models.qwen3_vl.layers import Linear, place_rows


class Experts(nnx.Module):
    """Router and experts of one layer; every expert is a SwiGLU without biases.

    Tokens are sorted by expert and go through `jax.lax.ragged_dot`: static shapes, no token is ever dropped and no
    expert padded. Capacity and one-hot dispatch would need one of the two. On a TPU it is one grouped matmul; XLA's
    fallback on CPU and GPU multiplies with every expert and masks, E / k times the work.
    """

    def __init__(self, config: TextConfig, *, dtype, param_dtype, rngs: nnx.Rngs):
        count, hidden, inner = config.num_experts, config.hidden_size, config.expert_size
        self.per_token, self.dtype = config.experts_per_token, dtype

        def kernel(*shape):
            return nnx.Param(shape[-2] ** -0.5 * jax.random.normal(rngs.params(), shape, param_dtype))

        self.router = Linear(hidden, count, use_bias=False, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.gate_up_kernel = kernel(2, count, hidden, inner)
        self.down_kernel = kernel(count, inner, hidden)

    def __call__(self, x: jax.Array) -> jax.Array:
        """float[B, S, H] -> float[B, S, H]."""
        count = self.down_kernel.shape[0]
        tokens = x.reshape(-1, x.shape[-1])
        probabilities = jax.nn.softmax(self.router(tokens).astype(jnp.float32), axis=-1)
        weights, chosen = jax.lax.top_k(probabilities, self.per_token)
        weights = (weights / jnp.sum(weights, axis=-1, keepdims=True)).astype(x.dtype)

        order = jnp.argsort(chosen.ravel())[None]
        back = jnp.argsort(order)
        sizes = jnp.bincount(chosen.ravel(), length=count).astype(jnp.int32)
        repeated = jnp.repeat(tokens, self.per_token, axis=0)[None]
        rows = place_rows(repeated, order, back)[0]
        gate, up = (jax.lax.ragged_dot(rows, kernel.astype(self.dtype), sizes) for kernel in self.gate_up_kernel[...])
        rows = jax.lax.ragged_dot(nnx.silu(gate) * up, self.down_kernel[...].astype(self.dtype), sizes)
        read = place_rows(rows[None], back, order).reshape(*weights.shape, -1)
        return jnp.sum(read * weights[..., None], axis=1).reshape(x.shape)
