"""What a policy learns from one lot of rollouts: log-probs, advantages, mini-batches, optimiser steps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxerm.models.language import LanguageModel
from jaxerm.models.sharding import shard_rows, shard_state, to_host
from jaxerm.recipe import GrpoRecipe
from jaxerm.train.objective import Objective, kl_of_answers, log_probs_of, micro_gradients
from jaxerm.train.policy_gradient import count_answers, group_advantages
from jaxerm.train.roles import moved, role_mesh
from jaxerm.train.rollouts import RolloutBatch, Rollouts, rollout_batch, take_rows
from jaxerm.train.state import TrainState, make_optimizer
from jaxerm.train.trainable import Trainable


@partial(jax.jit, static_argnames=("optimizer",), donate_argnums=0)
def apply_gradients(state: TrainState, gradients: Any, learning_rate: jax.Array, *, optimizer: Any):
    """One optimiser step; returns the next state and the gradients' norm."""
    return state.apply(gradients, optimizer, learning_rate)


class PolicyUpdate:
    """All optimiser steps of a GRPO step.

    Args:
      recipe: of the objective and its batches.
      parts: the policy, taken apart; what of it stands still is in place.
      reference: the model of the KL term; the policy as it started if None.

    Attributes:
      needs_old: whether a pass of its own finds the log-probs under the policy that drew the answers.
    """

    def __init__(self, recipe: GrpoRecipe, parts: Trainable, reference: LanguageModel | None):
        self.recipe, self.policy, self.frozen = recipe, parts.model, parts.frozen
        self.optimizer = make_optimizer(recipe.optimizer)
        self.objective = Objective.of(recipe)
        self.banned = jnp.asarray(parts.model.banned)
        self.length = recipe.max_prompt_length + recipe.max_new_tokens
        self.needs_old = recipe.prompts_per_step > recipe.mini_batch or recipe.kl_in == "reward"
        mesh, self.actor = role_mesh(recipe, "reference"), role_mesh(recipe)
        self.moves = mesh != self.actor
        if reference is not None:
            self.reference = {"params": reference.params, "graphdef": reference.graphdef}
        elif self.moves:
            graphdef = moved(parts.model, recipe, mesh).graphdef
            self.reference = {"params": parts.whole(parts.params), "graphdef": graphdef}
        else:
            # The policy as it started shares what is frozen: with LoRA a reference costs nothing but its factors.
            self.reference = {"params": parts.params, "frozen": parts.frozen, "graphdef": parts.model.graphdef}
        self.reference["params"] = shard_state(self.reference["params"], mesh)

    def _frozen_log_probs(self, part: RolloutBatch, **model: Any) -> jax.Array:
        inputs, mask = shard_rows((part.inputs, part.mask), model["params"])
        settings = {"temperature": self.recipe.temperature, "chunk": self.recipe.logits_chunk}
        return log_probs_of(inputs=inputs, banned=self.banned, mask=mask, **settings, **model)

    def _reference_log_probs(self, part: RolloutBatch, params: Any) -> jax.Array:
        found = self._frozen_log_probs(part, **self.reference)
        return shard_rows(to_host(found), params) if self.moves else found

    def __call__(
        self, state: TrainState, rollouts: Rollouts, rewards: list[float | None], rate: float
    ) -> tuple[TrainState, np.ndarray, dict[str, Any]]:
        """Mini-batch after mini-batch, each in micro-batches.

        Args:
          state: of the policy; donated.
          rollouts: R answers.
          rewards: of each; None where it has no score.
          rate: learning rate.

        Returns:
          The next state, the advantages float32[R], and metrics whose values may still be under way: lists of float32[]
          to take the mean of.
        """
        recipe = self.recipe
        counts = np.array([reward is not None for reward in rewards])
        if recipe.overlong == "mask":
            counts &= np.asarray(rollouts.generated.finished)
        blank = np.zeros(len(rewards), np.float32)
        batch = rollout_batch(rollouts, blank, counts, self.policy, length=self.length, patches=recipe.max_patches)
        rows = len(rewards)
        mini = recipe.mini_batch * recipe.rollouts
        micro = recipe.micro_batch or mini
        own = {"frozen": self.frozen, "graphdef": self.policy.graphdef}
        parts = [take_rows(batch, at, at + micro) for at in range(0, rows, micro)]
        reference = [self._reference_log_probs(part, state.params) for part in parts]
        # Before the first update, so that every mini-batch is held against the policy that drew it. With a single
        # update, and no other use for them, they are the step's own.
        needed = self.needs_old
        old = [self._frozen_log_probs(part, params=state.params, **own) if needed else None for part in parts]
        if recipe.kl_in == "reward":
            values = zip(to_host(old), to_host(reference), range(0, rows, micro), strict=True)
            kl = [kl_of_answers(o, r, batch.mask[at : at + micro], recipe.kl_estimator) for o, r, at in values]
            rewards = [
                None if reward is None else reward - recipe.kl_coef * float(k)
                for reward, k in zip(rewards, np.concatenate(kl), strict=True)
            ]
        advantages = group_advantages(rewards, recipe.rollouts, recipe.advantage)
        batch = replace(batch, advantages=advantages)
        figures: dict[str, list[Any]] = {}
        per_mini = mini // micro
        for first in range(0, len(parts), per_mini):
            gradients = None
            tokens, answers = count_answers(batch.mask[first * micro : first * micro + mini])
            for i in range(first, first + per_mini):
                part, metrics = micro_gradients(
                    state.params,
                    shard_rows(take_rows(batch, i * micro, (i + 1) * micro), state.params),
                    old[i],
                    reference[i],
                    self.banned,
                    tokens,
                    answers,
                    **own,
                    objective=self.objective,
                )
                # These two are a share of the mini-batch's; the rest are means.
                metrics |= {name: per_mini * metrics[name] for name in ("loss", "policy_loss")}
                gradients = part if gradients is None else jax.tree.map(jnp.add, gradients, part)
                for name, value in metrics.items():
                    figures.setdefault(name, []).append(value)
            state, norm = apply_gradients(state, gradients, jnp.float32(rate), optimizer=self.optimizer)
            figures.setdefault("grad_norm", []).append(norm)
        return state, advantages, figures
