"""Log-probabilities of the tokens that are there, and the losses made of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxerm.models.qwen3_vl.inputs import Inputs
from jaxerm.models.qwen3_vl.model import Qwen3VL


def next_token_log_probs(
    model: Qwen3VL,
    inputs: Inputs,
    *,
    temperature: float = 1.0,
    banned: jax.Array | None = None,
    remat: str = "none",
) -> jax.Array:
    """log p(token[s] | tokens before it).

    Args:
      temperature, banned: of the sampler the answers were drawn with (see `sampler.forbidden_tokens`), so that both
        speak of the same distribution.

    Returns:
      float32[B, S]; 0 at s = 0, which nothing predicts. At the first token of a later sample in a packed row the value
      means nothing: no answer starts there.
    """
    hidden, _ = model.hidden_states(inputs, remat=remat)
    logits = model.unembed(hidden[:, :-1]) / temperature
    if banned is not None:
        # Prompts hold image pads: their own log-probs must stay finite, though no loss looks at them.
        logits = jnp.where(banned, jnp.finfo(jnp.float32).min / 2, logits)
    chosen = jnp.take_along_axis(logits, inputs.tokens[:, 1:, None], axis=-1)[..., 0]
    return jnp.pad(chosen - jax.nn.logsumexp(logits, axis=-1), ((0, 0), (1, 0)))


def masked_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of `values` where `weights` is set; 0 if nowhere."""
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1)


def sft_loss(model: Qwen3VL, inputs: Inputs, weights: jax.Array, *, remat: str = "none") -> jax.Array:
    """Mean negative log-likelihood, in nats a token, of the tokens with weight: the answers.

    Args:
      weights: float32[B, S], 1 at the tokens of an answer, 0 at prompts and padding.
    """
    return -masked_mean(next_token_log_probs(model, inputs, remat=remat), weights)
