"""Log-probabilities of given tokens in chunks, so that float32[batch, length, vocabulary] never exists."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxerm.models.qwen3_vl.layers import place_rows


def chunked_log_probs(
    unembed: Callable[[jax.Array], jax.Array],
    hidden: jax.Array,
    targets: jax.Array,
    wanted: jax.Array | None = None,
    *,
    temperature: float = 1.0,
    banned: jax.Array | None = None,
    chunk: int = 512,
) -> jax.Array:
    """log softmax(logits / temperature) at each target; the backward pass makes each chunk's logits anew.

    Losses look at answers only, and prompts with images are most of a row: with `wanted`, the positions that are come
    to the front of their row, and chunks without any are left out, forward and backward.

    Args:
      unembed: hidden states float[..., H] -> logits float32[..., V], as `Qwen3VL.unembed`.
      hidden: float[B, S, H].
      targets: int32[B, S].
      wanted: bool[B, S], where the result is looked at; everywhere if None.
      temperature, banned: of the sampler that drew the targets; a banned target gets a very low, finite value.
      chunk: positions a row whose logits exist at once: float32[B, chunk, V].

    Returns:
      float32[B, S], 0 where it is not wanted.
    """
    length = hidden.shape[1]
    chunk = min(chunk, length)
    count = -(-length // chunk)

    def cut(x):
        x = jnp.pad(x, ((0, 0), (0, count * chunk - length), *[(0, 0)] * (x.ndim - 2)))
        return jnp.moveaxis(x.reshape(x.shape[0], count, chunk, *x.shape[2:]), 1, 0)

    def of_chunk(h, targets):
        logits = unembed(h) / temperature
        if banned is not None:
            # Prompts hold image pads: their own log-probs must stay finite, though no loss looks at them.
            logits = jnp.where(banned, jnp.finfo(jnp.float32).min / 2, logits)
        chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return chosen - jax.nn.logsumexp(logits, axis=-1)

    def joined(x):
        return jnp.moveaxis(x, 0, 1).reshape(hidden.shape[0], -1)[:, :length]

    if count == 1:
        out = of_chunk(hidden, targets)
        return out if wanted is None else jnp.where(wanted, out, 0)
    if wanted is None:
        return joined(jax.lax.map(jax.checkpoint(lambda chunk: of_chunk(*chunk)), (cut(hidden), cut(targets))))

    # Made anew as a whole: a condition keeps all that its branches read, for every chunk, the table too.
    @jax.checkpoint
    def of_wanted(chunk):
        h, targets, wanted = chunk
        nothing = jnp.zeros(targets.shape, jnp.float32)
        return jax.lax.cond(jnp.any(wanted), of_chunk, lambda *_: nothing, h, targets)

    order = jnp.argsort(~wanted, axis=1, stable=True).astype(jnp.int32)
    place = jnp.argsort(order, axis=1).astype(jnp.int32)
    first = [place_rows(hidden, order, place), *(jnp.take_along_axis(x, order, axis=1) for x in (targets, wanted))]
    out = joined(jax.lax.map(of_wanted, tuple(map(cut, first))))
    return jnp.where(wanted, place_rows(out[..., None], place, order)[..., 0], 0)
