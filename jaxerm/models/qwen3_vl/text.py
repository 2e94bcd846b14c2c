"""The decoder: grouped-query attention, queries and keys normed, interleaved MRoPE, SwiGLU or experts; DeepStack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.models.qwen3_vl.config import TextConfig
from jaxerm.models.qwen3_vl.experts import Experts
from jaxerm.models.qwen3_vl.layers import Linear, Rope, rotate, scan_layers, stack_layers, unstack_layers

Attend = Callable[[Any, jax.Array, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""(cache, layer index, query, key, value) -> (mixed values, cache): how a caller wants attention done."""


class RMSNorm(nnx.Module):
    """Root-mean-square norm in float32; the weight multiplies after the cast back, as Hugging Face does."""

    def __init__(self, size: int, epsilon: float, *, param_dtype):
        self.epsilon = epsilon
        self.weight = nnx.Param(jnp.ones(size, param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        wide = x.astype(jnp.float32)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon)
        return self.weight[...].astype(x.dtype) * wide.astype(x.dtype)


class TextLayer(nnx.Module):
    """One decoder layer."""

    def __init__(self, config: TextConfig, *, dtype, param_dtype, rngs: nnx.Rngs):
        def linear(n_in, n_out):
            return Linear(n_in, n_out, use_bias=False, dtype=dtype, param_dtype=param_dtype, rngs=rngs)

        def norm(size):
            return RMSNorm(size, config.rms_norm_eps, param_dtype=param_dtype)

        hidden, depth = config.hidden_size, config.head_dim
        self.head_dim = depth
        self.input_norm = norm(hidden)
        self.q_proj = linear(hidden, config.num_heads * depth)
        self.k_proj = linear(hidden, config.num_kv_heads * depth)
        self.v_proj = linear(hidden, config.num_kv_heads * depth)
        self.o_proj = linear(config.num_heads * depth, hidden)
        self.q_norm = norm(depth)
        self.k_norm = norm(depth)
        self.post_attention_norm = norm(hidden)
        if config.num_experts:
            self.experts = Experts(config, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        else:
            self.experts = None
            self.gate_proj = linear(hidden, config.intermediate_size)
            self.up_proj = linear(hidden, config.intermediate_size)
            self.down_proj = linear(config.intermediate_size, hidden)

    def __call__(self, h: jax.Array, rope: Rope, attend: Callable) -> tuple[jax.Array, Any]:
        """float[B, S, H] -> float[B, S, H], and what `attend` returns beside its values."""
        x = self.input_norm(h)

        def heads(y):
            return y.reshape(*y.shape[:2], -1, self.head_dim)

        q = rotate(self.q_norm(heads(self.q_proj(x))), rope)
        k = rotate(self.k_norm(heads(self.k_proj(x))), rope)
        mixed, cache = attend(q, k, heads(self.v_proj(x)))
        h = h + self.o_proj(mixed.reshape(*h.shape[:2], -1))
        x = self.post_attention_norm(h)
        if self.experts is not None:
            return h + self.experts(x), cache
        return h + self.down_proj(nnx.silu(self.gate_proj(x)) * self.up_proj(x)), cache


def mrope(positions: jax.Array, config: TextConfig) -> Rope:
    """Interleaved multimodal RoPE: frequency i turns with time, height or width.

    With sections (T, H, W), frequencies 1, 4, 7, ... below 3 H turn with the height, 2, 5, 8, ... below 3 W with the
    width, and all others with the time.

    Args:
      positions: int32[B, 3, S].
    """
    half = config.head_dim // 2
    frequency = 1.0 / config.rope_theta ** (jnp.arange(0, config.head_dim, 2, dtype=jnp.float32) / config.head_dim)
    index = np.arange(half)
    axis = np.zeros(half, np.int32)
    for number in (1, 2):
        axis[(index % 3 == number) & (index < 3 * config.mrope_section[number])] = number
    chosen = jnp.asarray(positions, jnp.float32)[:, axis]  # [B, D / 2, S]
    angle = (chosen * frequency[None, :, None]).transpose(0, 2, 1)[:, :, None]
    return Rope(jnp.cos(angle), jnp.sin(angle))


class Decoder(nnx.Module):
    """The layers and the last norm. Those that receive a DeepStack tap are a stack of their own."""

    def __init__(self, config: TextConfig, num_taps: int, *, dtype, param_dtype, rngs: nnx.Rngs):
        self.config = config
        self.num_taps = num_taps

        def stack(count):
            return stack_layers(lambda r: TextLayer(config, dtype=dtype, param_dtype=param_dtype, rngs=r), count, rngs)

        self.early = stack(num_taps) if num_taps else None
        self.late = stack(config.num_layers - num_taps) if config.num_layers > num_taps else None
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps, param_dtype=param_dtype)

    def unstack(self) -> None:
        """Takes the layers out of their stacks, see `layers.unstack_layers`."""
        if self.early is not None:
            self.early = unstack_layers(self.early)
        if self.late is not None:
            self.late = unstack_layers(self.late)

    def __call__(
        self,
        h: jax.Array,
        positions: jax.Array,
        attend: Attend,
        cache: Any = None,
        *,
        add_tap: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
        taps: jax.Array | None = None,
        remat: str = "none",
    ) -> tuple[jax.Array, Any]:
        """Embeddings to normed hidden states.

        Args:
          h: float[B, S, H].
          positions: int32[B, 3, S].
          attend: attention over the sequence or over a cache.
          cache: pytree that `attend` reads and returns; None when there is none.
          add_tap: (hidden states, one tap) -> hidden states with the image features added at their tokens.
          taps: float[K, B, M, H], or None when there is no image.

        Returns:
          float[B, S, H] and the cache.
        """
        rope = mrope(positions, self.config)

        def layer_step(layer, carry, x):
            h, cache = carry
            index, tap = x
            h, cache = layer(h, rope, lambda q, k, v: attend(cache, index, q, k, v))
            return (h if tap is None else add_tap(h, tap)), cache

        carry = (h, cache)
        if self.early is not None:
            carry = scan_layers(self.early, layer_step, carry, (jnp.arange(self.num_taps), taps), remat=remat)
        if self.late is not None:
            index = jnp.arange(self.num_taps, self.config.num_layers)
            carry = scan_layers(self.late, layer_step, carry, (index, None), remat=remat)
        h, cache = carry
        return self.norm(h), cache
