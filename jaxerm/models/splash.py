"""Attention by Pallas' splash kernel for TPUs: only a block of scores exists at once, and none that nobody sees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jax.experimental.pallas.ops.tpu.splash_attention.splash_attention_mask_info import MaskInfo

_LANES = 128
_BLOCKS = (512, 256, 128)
"""Sizes of a block of scores, the first that divides the padded length is taken."""


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
    size, block = length + short, block_size(length)
    sizes = splash.BlockSizes(
        **dict.fromkeys(("block_q", "block_kv", "block_kv_compute", "block_q_dkv", "block_kv_dkv"), block),
        **dict.fromkeys(("block_kv_dkv_compute", "block_q_dq", "block_kv_dq"), block),
    )
    mask = (masks.CausalMask if causal else masks.FullMask)((size, size))
    whole = splash.make_splash_mha(
        masks.MultiHeadMask([mask] * heads),
        block_sizes=sizes,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
        residual_checkpoint_name=name,
    )

    def row(query, key, value, segments):
        seen = seen_blocks(*segments, block, causal=causal)
        by_query = _schedule(whole.fwd_mask_info, seen, _fetched(seen))
        by_key = _schedule(whole.dkv_mask_info, seen, _fetched(seen.T).T)
        kernel = splash.SplashAttentionKernel(by_query, by_query, by_key, **whole.kwargs)
        return kernel(query, key, value, segment_ids=segments)

    # The scope tells whoever counts operations that half of the blocks are left out, whatever the segments are.
    with jax.named_scope("splash_causal" if causal else "splash_full"):
        out = jax.vmap(row)(query, key, value, segments)
    return out.transpose(0, 2, 1, 3)[:, :length].astype(value.dtype)


def block_size(length: int) -> int:
    """Rows and columns of a block of scores for sequences of `length`, which are padded to a multiple of 128."""
    return next(block for block in _BLOCKS if (length + -length % _LANES) % block == 0)


def seen_blocks(query_segments: jax.Array, key_segments: jax.Array, block: int, *, causal: bool) -> jax.Array:
    """Which blocks of one row's scores hold any that counts: those whose ranges of segment ids meet.

    In a packed row each picture and each sample is a run of its own, so that most blocks off the diagonal go::

        segments 1 1 2 2 2 3 0 0      1 . . .       blocks of two; padding (0) is seen
        causal                        . 1 . .       by that of its own block alone
                                      . 1 1 .
                                      . . . 1

    Args:
      query_segments, key_segments: int32[S], S a multiple of `block`; ids that rise along a row leave out the most.

    Returns:
      bool[S / block, S / block], queries first.
    """

    def ranges(segments):
        blocks = segments.reshape(-1, block)
        # Every block of padding an id of its own, behind all others.
        padding = jnp.iinfo(jnp.int32).max - len(blocks) + jnp.arange(len(blocks), dtype=jnp.int32)[:, None]
        blocks = jnp.where(blocks == 0, padding, blocks)
        return blocks.min(axis=1), blocks.max(axis=1)

    (low, high), (key_low, key_high) = ranges(query_segments), ranges(key_segments)
    seen = (low[:, None] <= key_high) & (key_low <= high[:, None])
    # A query without any key would be no number: those whose segment no key has see the diagonal, evenly.
    seen |= jnp.eye(len(seen), dtype=bool)
    return jnp.tril(seen) if causal else seen


def _fetched(seen: jax.Array) -> jax.Array:
    """Which block is held in each step through the rows of bool[R, C]: its own, or the nearest that is seen."""
    columns = seen.shape[1]
    first = jnp.argmax(seen, axis=1)
    last = columns - 1 - jnp.argmax(seen[:, ::-1], axis=1)
    return jnp.clip(jnp.arange(columns), first[:, None], last[:, None])


def _schedule(whole: MaskInfo, seen: jax.Array, fetched: jax.Array) -> MaskInfo:
    """What tells the kernel to leave out blocks and what to fetch meanwhile, in the least type: its memory is small."""
    small = jnp.int8 if len(seen) <= jnp.iinfo(jnp.int8).max else jnp.int16
    return whole._replace(block_mask=seen[None].astype(small), data_next=fetched[None].astype(small))
