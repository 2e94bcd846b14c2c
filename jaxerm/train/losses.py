"""Log-probabilities of the tokens that are there, and the losses made of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxerm.models.log_probs import chunked_log_probs
from jaxerm.models.qwen3_vl.inputs import Inputs
from jaxerm.models.qwen3_vl.model import Qwen3VL


def next_token_log_probs(
    model: Qwen3VL,
    inputs: Inputs,
    wanted: jax.Array | None = None,
    *,
    temperature: float = 1.0,
    banned: jax.Array | None = None,
    remat: str = "none",
    chunk: int | None = None,
) -> jax.Array:
    """log p(token[s] | tokens before it).

    Args:
      wanted: bool[B, S], the tokens whose log-probs are looked at; all if None.
      temperature, banned: of the sampler the answers were drawn with (see `sampler.forbidden_tokens`), so that both
        speak of the same distribution.
      remat: what the backward pass computes anew, see `layers.REMAT_POLICIES`.
      chunk: positions a row whose logits exist at once; all if None.

    Returns:
      float32[B, S]; 0 where it is not wanted, and at s = 0, which nothing predicts. At the first token of a later
      sample in a packed row the value means nothing: no answer starts there.
    """
    hidden, _ = model.hidden_states(inputs, remat=remat)
    chosen = chunked_log_probs(
        model.unembed,
        hidden[:, :-1],
        inputs.tokens[:, 1:],
        None if wanted is None else wanted[:, 1:],
        temperature=temperature,
        banned=banned,
        chunk=chunk or hidden.shape[1],
    )
    return jnp.pad(chosen, ((0, 0), (1, 0)))


def masked_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of `values` where `weights` is set; 0 if nowhere."""
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1)


def sft_loss(
    model: Qwen3VL,
    inputs: Inputs,
    weights: jax.Array,
    total: jax.Array | None = None,
    *,
    remat: str = "none",
    chunk: int | None = None,
) -> jax.Array:
    """Mean negative log-likelihood, in nats a token, of the tokens with weight: the answers.

    Args:
      weights: float32[B, S], 1 at the tokens of an answer, 0 at prompts and padding.
      total: float32[], what the sum is divided by: the weight of a whole batch of which these rows are a part. Their
        own if None.
      remat, chunk: see `next_token_log_probs`.
    """
    log_probs = next_token_log_probs(model, inputs, weights > 0, remat=remat, chunk=chunk)
    if total is None:
        return -masked_mean(log_probs, weights)
    return -jnp.sum(log_probs * weights) / total
