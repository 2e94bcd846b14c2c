"""Qwen3-VL: images and tokens in, logits out; for training, scoring, prefill and decode alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxerm.models.attention import XLA, Kernel, attention, cached_attention
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.inputs import Inputs
from jaxerm.models.qwen3_vl.layers import Linear, flat_dot_general, place_rows, turned_dot_general
from jaxerm.models.qwen3_vl.text import Decoder
from jaxerm.models.qwen3_vl.vision import VisionTower
from jaxerm.models.sharding import keep_rows


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """Keys and values of what the decoder has read.

    Attributes:
      key, value: float[L, B, K, C, D], heads before tokens: attention over it copies nothing.
      segment_ids: int32[B, C]; 0 where nothing has been read yet.
    """

    key: jax.Array
    value: jax.Array
    segment_ids: jax.Array


def _written(cache: jax.Array, layer: jax.Array, slot: jax.Array | int, new: jax.Array) -> jax.Array:
    """The cache float[L, B, K, C, D] with new float[B, S, K, D] in one layer, from a slot on."""
    new = new.transpose(0, 2, 1, 3)[None].astype(cache.dtype)
    return jax.lax.dynamic_update_slice(cache, new, (layer, 0, 0, slot, 0))


class Qwen3VL(nnx.Module):
    """The whole model. Fan-in scaled when made from nothing; weights from Hugging Face are loaded by `weights`.

    Args:
      config: sizes.
      dtype: of the computation.
      param_dtype: of the parameters.
      kernel: what computes attention.
    """

    def __init__(
        self,
        config: Qwen3VLConfig,
        *,
        dtype=jnp.float32,
        param_dtype=jnp.float32,
        kernel: Kernel = XLA,
        rngs: nnx.Rngs,
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.config = config
        self.dtype = dtype
        self.kernel = kernel
        self.visual = VisionTower(config.vision, **kinds)
        size = config.text.hidden_size
        self.embed = nnx.Param(
            size**-0.5 * jax.random.normal(rngs.params(), (config.text.vocab_size, size), param_dtype)
        )
        self.decoder = Decoder(config.text, len(config.vision.deepstack_layers), **kinds)
        self.lm_head = (
            None if config.tie_word_embeddings else Linear(size, config.text.vocab_size, use_bias=False, **kinds)
        )
        self._turned = False

    def hidden_states(self, inputs: Inputs, cache: Cache | None = None, *, remat: str = "none"):
        """Reads a batch from its start.

        Args:
          inputs: the batch.
          cache: empty, with room for at least S tokens; filled at slots 0 to S - 1. None when training.
          remat: what the backward pass recomputes, see `layers.REMAT_POLICIES`.

        Returns:
          float[B, S, H] and the filled cache (or None).
        """
        h = self._embedded(inputs.tokens)
        taps, add_tap = None, None
        if inputs.vision is not None:

            def at_tokens(features):
                return place_rows(features, inputs.vision_index, inputs.token_index)

            def add_tap(h, tap):
                return h + at_tokens(tap)

            features, tap_list = self.visual(inputs.vision, remat, self.kernel)
            h = keep_rows(jnp.where((inputs.vision_index >= 0)[..., None], at_tokens(features), h), self.kernel.mesh)
            taps = jnp.stack(tap_list) if tap_list else None

        segments = inputs.segment_ids

        def attend(kv, layer, q, k, v):
            if kv is not None:
                kv = tuple(_written(old, layer, 0, new) for old, new in zip(kv, (k, v), strict=True))
            return attention(q, k, v, segments, segments, causal=True, kernel=self.kernel), kv

        kv = None if cache is None else (cache.key, cache.value)
        h, kv = self.decoder(h, inputs.positions, attend, kv, add_tap=add_tap, taps=taps, remat=remat)
        if cache is None:
            return h, None
        filled = jax.lax.dynamic_update_slice(cache.segment_ids, segments, (0, 0))
        return h, Cache(*kv, filled)

    def decode(self, tokens: jax.Array, positions: jax.Array, slot: jax.Array, cache: Cache):
        """Reads one more token a row.

        Args:
          tokens: int32[B].
          positions: int32[B], the same in time, height and width: it is text.
          slot: int32[], where in the cache it goes.
          cache: what was read before.

        Returns:
          Hidden states float[B, H] and the cache.
        """
        batch = len(tokens)
        h = self._embedded(tokens)[:, None]
        ones = jnp.ones((batch, 1), jnp.int32)
        segments = jax.lax.dynamic_update_slice(cache.segment_ids, ones, (0, slot))

        def attend(kv, layer, q, k, v):
            # Written in place in the carry of the scan: a cache handed through as xs and ys would be copied each step.
            key, value = (_written(old, layer, slot, new) for old, new in zip(kv, (k, v), strict=True))
            return cached_attention(q, key[layer], value[layer], ones, segments), (key, value)

        positions = jnp.broadcast_to(positions[:, None, None], (batch, 3, 1))
        h, kv = self.decoder(h, positions, attend, (cache.key, cache.value))
        return h[:, 0], Cache(*kv, segments)

    def _embedded(self, tokens: jax.Array) -> jax.Array:
        return keep_rows(self.embed[...].astype(self.dtype)[tokens], self.kernel.mesh)

    def empty_cache(self, batch: int, capacity: int) -> Cache:
        """A cache for `batch` rows of at most `capacity` tokens, in the dtype of the computation."""
        text = self.config.text
        shape = (text.num_layers, batch, text.num_kv_heads, capacity, text.head_dim)
        key, value = (jnp.zeros(shape, self.dtype) for _ in range(2))
        return self.in_place(Cache(key, value, jnp.zeros((batch, capacity), jnp.int32)))

    def in_place(self, cache: Cache) -> Cache:
        """The cache with its rows, and its heads, spread over the mesh."""
        key, value = (keep_rows(x, self.kernel.mesh, rows=1, heads=2) for x in (cache.key, cache.value))
        return Cache(key, value, keep_rows(cache.segment_ids, self.kernel.mesh))

    def rearrange(self) -> None:
        """Makes a CPU decode fast: takes the layers out of their stacks and turns all kernels, see `Linear.turn`."""
        self.decoder.unstack()
        self._turned = True
        for part in (self.decoder, self.lm_head):
            for _, module in nnx.iter_modules(part):
                if isinstance(module, Linear):
                    module.turn()

    def unembed(self, h: jax.Array) -> jax.Array:
        """Hidden states float[..., H] -> logits float32[..., vocab]."""
        if self.lm_head is not None:
            return self.lm_head(h).astype(jnp.float32)
        table, axes = self.embed[...].astype(self.dtype), (((h.ndim - 1,), (0,)), ((), ()))
        if self._turned:
            return turned_dot_general(h, table, axes, preferred_element_type=jnp.float32)
        return flat_dot_general(h, table.T, axes, preferred_element_type=jnp.float32)

    def __call__(self, inputs: Inputs, *, remat: str = "none") -> jax.Array:
        """Logits float32[B, S, vocab]."""
        return self.unembed(self.hidden_states(inputs, remat=remat)[0])


def abstract_model(config: Qwen3VLConfig, **kinds: Any) -> Qwen3VL:
    """The model with shapes instead of arrays: what weights are loaded into, and what plans are made of."""
    return nnx.eval_shape(lambda: Qwen3VL(config, rngs=nnx.Rngs(0), **kinds))
