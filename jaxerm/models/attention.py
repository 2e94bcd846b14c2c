"""Attention behind one interface: grouped queries, segment ids, causal or not."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    query_segments: jax.Array,
    key_segments: jax.Array,
    *,
    causal: bool,
) -> jax.Array:
    """Scaled dot-product attention with grouped queries, softmax in float32.

    A query sees a key of the same segment id, and, if causal, none behind its own index::

        segments 1 1 1 2 2 0          1 . . . . .
        (0 = padding)                 1 1 . . . .
        causal                        1 1 1 . . .
                                      . . . 1 . .
                                      . . . 1 1 .
                                      . . . . . 1    padding sees padding: finite, and masked by whoever reads it

    Args:
      query: float[B, T, N, D].
      key: float[B, S, K, D], N a multiple of K; query head n reads key head n // (N / K).
      value: float[B, S, K, D].
      query_segments: int32[B, T].
      key_segments: int32[B, S].
      causal: index t of a query may only see index s <= t; needs T == S.

    Returns:
      float[B, T, N, D] in the dtype of `query`.
    """
    batch, length, heads, depth = query.shape
    kv_heads, span = key.shape[2], key.shape[1]
    groups = heads // kv_heads
    # Queries that read the same key head lie behind each other, so that both products are plain batched matmuls with
    # their batch axes in front: XLA's CPU backend runs those several times faster than the einsum over [B, T, K, G, D].
    query = query.reshape(batch, length, kv_heads, groups, depth).transpose(0, 2, 3, 1, 4)
    query = query.reshape(batch, kv_heads, groups * length, depth)
    key, value = key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3)
    scores = jnp.einsum("bkqd,bksd->bkqs", query, key, preferred_element_type=jnp.float32) * depth**-0.5
    mask = query_segments[:, :, None] == key_segments[:, None, :]
    if causal:
        mask = mask & jnp.tri(length, dtype=bool)
    scores = scores.reshape(batch, kv_heads, groups, length, span)
    scores = jnp.where(mask[:, None, None], scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype).reshape(batch, kv_heads, groups * length, span)
    mixed = jnp.einsum("bkqs,bksd->bkqd", weights, value)
    mixed = mixed.reshape(batch, kv_heads, groups, length, depth).transpose(0, 3, 1, 2, 4)
    return mixed.reshape(batch, length, heads, depth)
