"""Log-probabilities of given tokens in chunks, so that float32[batch, length, vocabulary] never exists."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def chunked_log_probs(
    unembed: Callable[[jax.Array], jax.Array],
    hidden: jax.Array,
    targets: jax.Array,
    *,
    temperature: float = 1.0,
    banned: jax.Array | None = None,
    chunk: int = 512,
) -> jax.Array:
    """log softmax(logits / temperature) at each target; the backward pass makes each chunk's logits anew.

    Args:
      unembed: hidden states float[..., H] -> logits float32[..., V], as `Qwen3VL.unembed`.
      hidden: float[B, S, H].
      targets: int32[B, S].
      temperature, banned: of the sampler that drew the targets; a banned target gets a very low, finite value.
      chunk: positions a row whose logits exist at once: float32[B, chunk, V].

    Returns:
      float32[B, S].
    """
    length = hidden.shape[1]
    chunk = min(chunk, length)
    count = -(-length // chunk)

    def cut(x):
        x = jnp.pad(x, ((0, 0), (0, count * chunk - length), *[(0, 0)] * (x.ndim - 2)))
        return jnp.moveaxis(x.reshape(x.shape[0], count, chunk, *x.shape[2:]), 1, 0)

    def of_chunk(entry):
        h, wanted = entry
        logits = unembed(h) / temperature
        if banned is not None:
            # Prompts hold image pads: their own log-probs must stay finite, though no loss looks at them.
            logits = jnp.where(banned, jnp.finfo(jnp.float32).min / 2, logits)
        chosen = jnp.take_along_axis(logits, wanted[..., None], axis=-1)[..., 0]
        return chosen - jax.nn.logsumexp(logits, axis=-1)

    if count == 1:
        return of_chunk((hidden, targets))
    out = jax.lax.map(jax.checkpoint(of_chunk), (cut(hidden), cut(targets)))
    return jnp.moveaxis(out, 0, 1).reshape(hidden.shape[0], -1)[:, :length]
