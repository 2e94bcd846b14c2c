"""Attention behind one interface: grouped queries, segment ids, causal or not; by XLA, splash (TPU) or cuDNN (GPU)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import Mesh

from jaxerm.models.sharding import per_shard

KERNELS = ("xla", "splash", "cudnn")
MIXED = "attention"
"""Name of what attention gives, by which remat policies keep it: made anew it costs the square of the length."""


@dataclass(frozen=True)
class Kernel:
    """How attention over whole sequences is computed. Decoding a token at a time is always XLA's.

    Attributes:
      name: ``xla``, anywhere: all scores exist at once. ``splash``, Pallas on TPUs. ``cudnn``, on GPUs, in 16 bits.
      mesh: what the arrays are spread over. Splash works on each device's own rows and heads and must be told, and
        the model keeps the rows of its activations on them.
      interpret: splash step by step on any device, for tests.
    """

    name: str = "xla"
    mesh: Mesh | None = None
    interpret: bool = False

    def __post_init__(self):
        if self.name not in KERNELS:
            raise ValueError(f"attention {self.name!r} is unknown; there are {', '.join(KERNELS)}")

    @classmethod
    def best(cls, platform: str, mesh: Mesh | None = None) -> Kernel:
        """The one for a platform: ``tpu``, ``gpu`` (``cuda``) or any other."""
        return cls({"tpu": "splash", "gpu": "cudnn", "cuda": "cudnn"}.get(platform, "xla"), mesh)


XLA = Kernel()


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    query_segments: jax.Array,
    key_segments: jax.Array,
    *,
    causal: bool,
    kernel: Kernel = XLA,
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
      kernel: what computes it; equal up to rounding where a query sees anything that is no padding.

    Returns:
      float[B, T, N, D] in the dtype of `query`.
    """
    segments = query_segments, key_segments
    if kernel.name == "splash":
        from jaxerm.models.splash import splash_attention

        def one(*arrays):
            return splash_attention(*arrays, causal=causal, interpret=kernel.interpret, name=MIXED)

        return per_shard(one, kernel.mesh, (query, key, value), segments)(query, key, value, *segments)
    if kernel.name == "cudnn":
        if query.dtype.itemsize != 2:
            raise ValueError(f"cuDNN's attention takes bfloat16 or float16, not {query.dtype}; xla takes all")
        mask = (query_segments[:, :, None] == key_segments[:, None, :])[:, None]
        out = jax.nn.dot_product_attention(query, key, value, mask=mask, is_causal=causal, implementation="cudnn")
        return checkpoint_name(out, MIXED)
    # Heads in front, so that both products are plain batched matmuls: XLA's CPU backend runs those several times faster
    # than the einsum over [B, T, K, G, D].
    heads_first = (key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3))
    return checkpoint_name(_scored(query, *heads_first, *segments, causal=causal), MIXED)


def cached_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, query_segments: jax.Array, key_segments: jax.Array
) -> jax.Array:
    """Attention of new tokens over a cache, by XLA: a query sees every key of its segment id.

    Args:
      query: float[B, T, N, D].
      key, value: float[B, K, S, D], heads in front: the products read them as they lie.
      query_segments: int32[B, T].
      key_segments: int32[B, S].

    Returns:
      float[B, T, N, D] in the dtype of `query`.
    """
    return _scored(query, key, value, query_segments, key_segments, causal=False)


def _scored(query, key, value, query_segments, key_segments, *, causal):
    """All scores at once: query [B, T, N, D], key and value [B, K, S, D] -> [B, T, N, D]."""
    batch, length, heads, depth = query.shape
    kv_heads, span = key.shape[1:3]
    groups = heads // kv_heads
    # Queries that read the same key head lie behind each other: one product for each key head.
    query = query.reshape(batch, length, kv_heads, groups, depth).transpose(0, 2, 3, 1, 4)
    query = query.reshape(batch, kv_heads, groups * length, depth)
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
