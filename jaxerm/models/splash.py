"""Attention by Pallas' splash kernel for TPUs: only a block of scores exists at once, masked ones are left out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

_LANES = 128
_BLOCKS = (512, 256, 128)
"""Sizes of a tile of scores, the first that divides the length is taken."""


def splash_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    query_segments: jax.Array,
    key_segments: jax.Array,
    *,
    causal: bool,
    interpret: bool = False,
    name: str | None = None,
) -> jax.Array:
    """As `attention.attention`, for as many queries as keys.

    Args:
      interpret: run the kernel step by step on any device, for tests.
      name: under which remat policies know what the backward pass needs of the kernel's results.
    """
    batch, length, heads, depth = query.shape
    short = -length % _LANES

    def padded(x):
        return jnp.pad(x, ((0, 0), (0, short), *[(0, 0)] * (x.ndim - 2)))

    # Padding sees padding: every query has a key, and no sum is empty.
    segments = splash.SegmentIds(padded(query_segments), padded(key_segments))
    query, key, value = (padded(x).transpose(0, 2, 1, 3) for x in (query * depth**-0.5, key, value))
    size = length + short
    block = next(block for block in _BLOCKS if size % block == 0)
    sizes = splash.BlockSizes(
        **dict.fromkeys(("block_q", "block_kv", "block_kv_compute", "block_q_dkv", "block_kv_dkv"), block),
        **dict.fromkeys(("block_kv_dkv_compute", "block_q_dq", "block_kv_dq"), block),
    )
    mask = (masks.CausalMask if causal else masks.FullMask)((size, size))
    kernel = splash.make_splash_mha(
        masks.MultiHeadMask([mask] * heads),
        block_sizes=sizes,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
        residual_checkpoint_name=name,
    )
    # The scope tells whoever counts operations that half of the blocks are left out.
    with jax.named_scope("splash_causal" if causal else "splash_full"):
        out = jax.vmap(kernel)(query, key, value, segment_ids=segments)
    return out.transpose(0, 2, 1, 3)[:, :length].astype(value.dtype)
