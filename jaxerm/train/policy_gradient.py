"""GRPO as small pure functions: advantages, ratios, clipping, KL. Shapes are [rows, tokens] unless said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

_EPSILON = 1e-6


def group_advantages(rewards: Sequence[float | None], group: int, kind: str = "grpo") -> np.ndarray:
    """Advantage of each answer within its group.

    grpo (arXiv 2402.03300): (r - mean) / std. dr_grpo (2503.20783): r - mean. rloo (2402.14740): r - the others' mean.

    Args:
      rewards: of B groups of `group` answers, one group behind the other; None where an answer has no score. It is left
        out of its group's mean and gets no advantage.
      group: answers a prompt.
      kind: ``grpo``, ``dr_grpo`` or ``rloo``.

    Returns:
      float32[B * group]; 0 where there is no score, or no other in the group to compare with.
    """
    values = np.array([np.nan if reward is None else reward for reward in rewards], np.float64).reshape(-1, group)
    known = ~np.isnan(values)
    count = known.sum(axis=1, keepdims=True)
    mean = np.where(known, values, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    centred = np.where(known & (count > 1), values - mean, 0.0)
    if kind == "grpo":
        # The sample standard deviation, as TRL and verl compute it.
        std = np.sqrt((centred**2).sum(axis=1, keepdims=True) / np.maximum(count - 1, 1))
        centred = centred / (std + _EPSILON)
    elif kind == "rloo":
        centred = centred * count / np.maximum(count - 1, 1)
    elif kind != "dr_grpo":
        raise ValueError(f"unknown advantage {kind!r}; there are grpo, dr_grpo and rloo")
    return centred.reshape(-1).astype(np.float32)


KL_ESTIMATORS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "k1": lambda delta: -delta,
    "k2": lambda delta: 0.5 * delta**2,
    "k3": lambda delta: jnp.expm1(delta) - delta,
}
"""KL(policy || reference) a token, of delta = log p_reference - log p_policy (Schulman 2020); k3: verl's low_var_kl."""


def likelihood_ratio(log_probs: jax.Array, old_log_probs: jax.Array, mask: jax.Array, kind: str) -> jax.Array:
    """How much likelier the policy now makes what was drawn, float32[R, S].

    token: pi(y_t) / pi_old(y_t), PPO and GRPO. sequence: GSPO (arXiv 2507.18071, eq. 5), the geometric mean of the
    tokens' ratios, the same at every token of an answer; with ``sequence_mean`` its objective is theirs.

    Args:
      log_probs, old_log_probs: float32[R, S], of the policy now and when the answers were drawn.
      mask: float32[R, S], 1 at the tokens of the answers.
    """
    # Outside the answers the difference means nothing and may be large: exp must not see it.
    delta = jnp.where(mask > 0, log_probs - old_log_probs, 0.0)
    if kind == "token":
        return jnp.exp(delta)
    if kind == "sequence":
        mean = jnp.sum(delta, axis=1, keepdims=True) / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
        return jnp.broadcast_to(jnp.exp(mean), delta.shape)
    raise ValueError(f"unknown ratio {kind!r}; there are token and sequence")


def clipped_surrogate(
    ratio: jax.Array, advantages: jax.Array, clip_low: float, clip_high: float, dual_clip: float | None = None
) -> tuple[jax.Array, jax.Array]:
    """PPO's surrogate, to be maximised, and where a clip is active (arXiv 1707.06347, eq. 7; two bounds: 2503.14476).

    min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A); with `dual_clip` c > 1 and A < 0 never below c * A
    (arXiv 1912.09729, eq. 5), so that one answer which has become very likely cannot take over the step.

    Args:
      ratio: float32[R, S].
      advantages: float32[R].
    """
    advantages = advantages[:, None]
    free = ratio * advantages
    clipped = jnp.clip(ratio, 1 - clip_low, 1 + clip_high) * advantages
    surrogate, active = jnp.minimum(free, clipped), clipped < free
    if dual_clip is not None:
        floor = dual_clip * advantages
        bounded = (advantages < 0) & (floor > surrogate)
        surrogate, active = jnp.where(bounded, floor, surrogate), active | bounded
    return surrogate, active


def cispo_surrogate(
    ratio: jax.Array, log_probs: jax.Array, advantages: jax.Array, clip_low: float, clip_high: float
) -> tuple[jax.Array, jax.Array]:
    """CISPO (arXiv 2506.13585, eq. 4): stop_gradient(clip(ratio)) * A * log pi; every token keeps a gradient.

    Args:
      ratio, log_probs: float32[R, S].
      advantages: float32[R].

    Returns:
      The surrogate, to be maximised, and where the clip is active.
    """
    weight = jnp.clip(ratio, 1 - clip_low, 1 + clip_high)
    return jax.lax.stop_gradient(weight) * advantages[:, None] * log_probs, weight != ratio


def overlong_penalty(lengths: np.ndarray, longest: int, buffer: int) -> np.ndarray:
    """DAPO's soft punishment of answers that come near the limit (arXiv 2503.14476, eq. 13).

    0 up to longest - buffer, then falling linearly to -1 at `longest`.

    Args:
      lengths: int[R], tokens of each answer.
      longest: most tokens an answer may have.
      buffer: tokens before the limit in which the penalty grows; 0 for none.

    Returns:
      float32[R].
    """
    if buffer == 0:
        return np.zeros(len(lengths), np.float32)
    return np.clip((longest - buffer - np.asarray(lengths)) / buffer, -1.0, 0.0).astype(np.float32)


def aggregate(
    values: jax.Array,
    mask: jax.Array,
    kind: str,
    longest: int,
    tokens: jax.Array | None = None,
    answers: jax.Array | None = None,
) -> jax.Array:
    """One number from a value a token.

    token_mean: over all tokens (DAPO). sequence_mean: mean over the tokens of each answer, then over answers (GRPO).
    sequence_sum: sum over each answer divided by a constant, the longest answer allowed, then mean (Dr.GRPO).

    Args:
      values, mask: float32[R, S].
      kind: one of the three.
      longest: tokens an answer may have.
      tokens, answers: how many there are in the batch that these rows are a part of, so that the parts of a batch add
        up to the whole of it; what these rows hold if None.
    """
    if tokens is None:
        tokens, answers = count_answers(mask)
    tokens, answers = jnp.maximum(tokens, 1), jnp.maximum(answers, 1)
    if kind == "token_mean":
        return jnp.sum(values * mask) / tokens
    if kind == "sequence_mean":
        return jnp.sum(jnp.sum(values * mask, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)) / answers
    if kind == "sequence_sum":
        return jnp.sum(values * mask) / longest / answers
    raise ValueError(f"unknown loss aggregation {kind!r}; there are token_mean, sequence_mean and sequence_sum")


def count_answers(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Tokens that count, and answers with at least one of them, float32[]."""
    return jnp.sum(mask, dtype=jnp.float32), jnp.sum(jnp.any(mask > 0, axis=1), dtype=jnp.float32)


def importance_weights(
    old_log_probs: jax.Array, sampler_log_probs: jax.Array, mask: jax.Array, cap: float | None
) -> jax.Array:
    """Truncated importance sampling a token: min(p_trainer / p_sampler, cap); 1 everywhere if `cap` is None."""
    if cap is None:
        return jnp.ones_like(old_log_probs)
    return jnp.minimum(jnp.exp(jnp.where(mask > 0, old_log_probs - sampler_log_probs, 0.0)), cap)
