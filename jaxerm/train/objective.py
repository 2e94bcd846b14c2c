"""The GRPO loss of one micro-batch: surrogate, KL and importance weights put together as a recipe says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.models.sharding import keep_state
from jaxerm.recipe import GrpoRecipe
from jaxerm.train.losses import masked_mean, next_token_log_probs
from jaxerm.train.policy_gradient import (
    KL_ESTIMATORS,
    aggregate,
    cispo_surrogate,
    clipped_surrogate,
    importance_weights,
    likelihood_ratio,
)
from jaxerm.train.rollouts import RolloutBatch
from jaxerm.train.trainable import put_together


@partial(jax.jit, static_argnames=("graphdef", "temperature", "chunk"))
def log_probs_of(
    params: Any,
    inputs: Any,
    banned: jax.Array,
    frozen: Any = None,
    mask: jax.Array | None = None,
    *,
    graphdef: nnx.GraphDef,
    temperature: float,
    chunk: int | None = None,
) -> jax.Array:
    """Log-probs of the tokens with `mask`, of all if None, float32[R, S]; `params` and `frozen` as in `Trainable`."""
    model = put_together(graphdef, params, frozen)
    wanted = None if mask is None else mask > 0
    return next_token_log_probs(model, inputs, wanted, temperature=temperature, banned=banned, chunk=chunk)


@dataclass(frozen=True)
class Objective:
    """What the loss is made of; hashable, so that a step compiles once for it. Fields as in `GrpoRecipe`."""

    temperature: float
    ratio: str
    surrogate: str
    clip_low: float
    clip_high: float
    dual_clip: float | None
    kl_coef: float
    kl_estimator: str
    kl_in: str
    loss_aggregation: str
    max_new_tokens: int
    tis_cap: float | None
    remat: str = "none"
    logits_chunk: int | None = None

    @classmethod
    def of(cls, recipe: GrpoRecipe) -> Objective:
        return cls(**{field.name: getattr(recipe, field.name) for field in fields(cls)})


@partial(jax.jit, static_argnames=("graphdef", "objective"))
def micro_gradients(
    params: Any,
    batch: RolloutBatch,
    old_log_probs: jax.Array | None,
    reference_log_probs: jax.Array,
    banned: jax.Array,
    tokens: jax.Array | None = None,
    answers: jax.Array | None = None,
    frozen: Any = None,
    *,
    graphdef: nnx.GraphDef,
    objective: Objective,
):
    """Gradients and metrics of the GRPO loss on one micro-batch; those of a mini-batch are the sums of its parts'.

    loss = - E[w * surrogate(ratio, A)] + kl_coef * E[KL(policy || reference)], w the truncated importance weight
    between trainer and sampler; without the second term where the KL is part of the reward.

    Args:
      params: of the policy now, what of it is trained.
      batch: the micro-batch.
      old_log_probs: float32[R, S], under the weights the answers were drawn with; None where those are `params`.
      reference_log_probs: float32[R, S].
      banned: bool[V], as in `sampler.forbidden_tokens`.
      tokens, answers: float32[], of the whole mini-batch (see `aggregate`); this micro-batch's own if None.
      frozen: the rest of the policy, as in `Trainable`.
      graphdef, objective: of the policy and of the loss.
    """
    mask = batch.mask

    def loss_of(params):
        log_probs = next_token_log_probs(
            put_together(graphdef, params, frozen),
            batch.inputs,
            mask > 0,
            temperature=objective.temperature,
            banned=banned,
            remat=objective.remat,
            chunk=objective.logits_chunk,
        )
        old = jax.lax.stop_gradient(log_probs) if old_log_probs is None else old_log_probs
        ratio = likelihood_ratio(log_probs, old, mask, objective.ratio)
        bounds = objective.clip_low, objective.clip_high
        if objective.surrogate == "cispo":
            surrogate, clipped = cispo_surrogate(ratio, log_probs, batch.advantages, *bounds)
        else:
            surrogate, clipped = clipped_surrogate(ratio, batch.advantages, *bounds, objective.dual_clip)
        weights = importance_weights(old, batch.sampler_log_probs, mask, objective.tis_cap)
        # Outside the answers the difference means nothing and may be large: expm1 must not see it.
        delta = jnp.where(mask > 0, reference_log_probs - log_probs, 0.0)
        kl = KL_ESTIMATORS[objective.kl_estimator](delta)
        longest = objective.max_new_tokens
        policy_loss = -aggregate(weights * surrogate, mask, objective.loss_aggregation, longest, tokens, answers)
        loss = policy_loss
        if objective.kl_in == "loss":
            loss += objective.kl_coef * aggregate(kl, mask, objective.loss_aggregation, longest, tokens, answers)
        metrics = {
            "policy_loss": policy_loss,
            "kl": masked_mean(kl, mask),
            "clip_fraction": masked_mean(clipped, mask),
            "sampler_gap": masked_mean(jnp.abs(old - batch.sampler_log_probs), mask),
            "importance_weight": masked_mean(weights, mask),
            "entropy_estimate": -masked_mean(log_probs, mask),
        }
        return loss, metrics

    (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    gradients = keep_state(gradients, put_together(graphdef, params, frozen).kernel.mesh)
    return gradients, {"loss": loss, **metrics}


def kl_of_answers(old_log_probs: Any, reference_log_probs: Any, mask: np.ndarray, estimator: str) -> np.ndarray:
    """The KL of each answer, summed over its tokens: what `kl_in: reward` takes off its reward, times `kl_coef`.

    Args:
      old_log_probs, reference_log_probs: float32[R, S].
      mask: float32[R, S], 1 at the tokens of the answers.

    Returns:
      float32[R].
    """
    delta = np.where(mask > 0, np.asarray(reference_log_probs) - np.asarray(old_log_probs), 0.0)
    return np.asarray(KL_ESTIMATORS[estimator](jnp.asarray(delta)) * mask).sum(axis=1)
