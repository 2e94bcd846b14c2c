"""GRPO of a policy: its answers are rendered, the reward model reads them, and what beats its group is reinforced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.data.sources import open_source
from jaxerm.models.language import LanguageModel, load
from jaxerm.models.sampler import Sampling, forbidden_tokens
from jaxerm.models.sharding import make_mesh, shard_batch, shard_state
from jaxerm.progress import Ticker
from jaxerm.prompts import Prompts
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.rewards.attempts import Attempt, Scoring, score_attempts
from jaxerm.rewards.visual_erm import VisualERM
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.dump import dump_rollouts
from jaxerm.train.losses import masked_mean, next_token_log_probs
from jaxerm.train.policy_gradient import (
    KL_ESTIMATORS,
    aggregate,
    clipped_objective,
    group_advantages,
    importance_weights,
)
from jaxerm.train.rollouts import RolloutBatch, rollout_batch, sample_rollouts, take_rows
from jaxerm.train.state import TrainState, learning_rate, make_optimizer


@partial(jax.jit, static_argnames=("graphdef", "temperature"))
def log_probs_of(params: Any, inputs: Any, banned: jax.Array, *, graphdef: nnx.GraphDef, temperature: float):
    """Log-probs of every token under frozen weights, float32[R, S]."""
    return next_token_log_probs(nnx.merge(graphdef, params), inputs, temperature=temperature, banned=banned)


@dataclass(frozen=True)
class Objective:
    """What the loss is made of; hashable, so that a step compiles once for it. Fields as in `GrpoRecipe`."""

    temperature: float
    clip_low: float
    clip_high: float
    kl_coef: float
    kl_estimator: str
    loss_aggregation: str
    max_new_tokens: int
    tis_cap: float | None

    @classmethod
    def of(cls, recipe: GrpoRecipe) -> Objective:
        return cls(**{field.name: getattr(recipe, field.name) for field in fields(cls)})


@partial(jax.jit, static_argnames=("graphdef", "objective"))
def micro_gradients(
    params: Any,
    batch: RolloutBatch,
    old_log_probs: jax.Array,
    reference_log_probs: jax.Array,
    banned: jax.Array,
    *,
    graphdef: nnx.GraphDef,
    objective: Objective,
):
    """Gradients and metrics of the GRPO loss on one micro-batch.

    loss = - E[w * min(ratio * A, clip(ratio) * A)] + kl_coef * E[KL(policy || reference)], w the truncated importance
    weight between trainer and sampler.
    """
    mask = batch.mask

    def loss_of(params):
        log_probs = next_token_log_probs(
            nnx.merge(graphdef, params), batch.inputs, temperature=objective.temperature, banned=banned
        )
        surrogate, clipped = clipped_objective(
            log_probs, old_log_probs, batch.advantages, objective.clip_low, objective.clip_high
        )
        weights = importance_weights(old_log_probs, batch.sampler_log_probs, objective.tis_cap)
        # Outside the answers the difference means nothing and may be large: expm1 must not see it.
        delta = jnp.where(mask > 0, reference_log_probs - log_probs, 0.0)
        kl = KL_ESTIMATORS[objective.kl_estimator](delta)
        longest = objective.max_new_tokens
        policy_loss = -aggregate(weights * surrogate, mask, objective.loss_aggregation, longest)
        kl_loss = aggregate(kl, mask, objective.loss_aggregation, longest)
        metrics = {
            "policy_loss": policy_loss,
            "kl": masked_mean(kl, mask),
            "clip_fraction": masked_mean(clipped, mask),
            "sampler_gap": masked_mean(jnp.abs(old_log_probs - batch.sampler_log_probs), mask),
            "importance_weight": masked_mean(weights, mask),
            "entropy_estimate": -masked_mean(log_probs, mask),
        }
        return policy_loss + objective.kl_coef * kl_loss, metrics

    (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    return gradients, {"loss": loss, **metrics}


@partial(jax.jit, static_argnames=("optimizer",), donate_argnums=0)
def apply_gradients(state: TrainState, gradients: Any, learning_rate: jax.Array, *, optimizer: Any):
    """One optimiser step; returns the next state and the gradients' norm."""
    return state.apply(gradients, optimizer, learning_rate)


def run_grpo(
    recipe: GrpoRecipe,
    *,
    policy: LanguageModel | None = None,
    erm: VisualERM | None = None,
    pool: RenderPool | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    on_step: Callable[[int, list[Attempt], np.ndarray], None] | None = None,
) -> LanguageModel:
    """Trains a policy, resuming from the run folder's newest checkpoint if there is one.

    The run folder gets ``metrics.jsonl``, ``checkpoints``, ``rollouts`` with their images and, at the end, ``model``.

    Args:
      recipe: what is trained how.
      policy: start from this one instead of loading `recipe.policy`.
      erm: judge with this one instead of loading `recipe.reward.model`.
      pool: render with this one instead of starting another.
      overwrite: delete the run that is in the folder.
      quiet: no progress bar.
      on_step: called with step, attempts and advantages, after each step.

    Returns:
      The trained policy.
    """
    run = RunDir(recipe.out, recipe, overwrite=overwrite, write=jax.process_index() == 0)
    kinds = {"dtype": recipe.dtype.compute, "param_dtype": recipe.dtype.param}
    reward = recipe.reward
    if policy is None:
        policy = load(recipe.policy, **kinds)
    if erm is None:
        erm = VisualERM(
            load(reward.model, **kinds),
            sampling=Sampling(reward.temperature, reward.top_p, reward.top_k),
            max_new_tokens=reward.max_new_tokens,
            retries=reward.retries,
            rows=reward.rows,
        )
    reference = policy if recipe.reference is None else load(recipe.reference, **kinds)
    own_pool = None if pool is not None else RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render))
    try:
        return _Trainer(recipe, policy, reference.params, erm, pool or own_pool, run, quiet, on_step).train()
    finally:
        run.close()
        if own_pool is not None:
            own_pool.close()


class _Trainer:
    """The loop and what stays the same in it."""

    def __init__(self, recipe, policy, reference_params, erm, pool, run, quiet, on_step):
        self.recipe, self.policy, self.erm, self.pool, self.run = recipe, policy, erm, pool, run
        self.quiet, self.on_step = quiet, on_step
        self.mesh = make_mesh(recipe.mesh)
        self.reference_params = shard_state(reference_params, self.mesh)
        self.optimizer = make_optimizer(recipe.optimizer)
        self.rate = learning_rate(recipe.optimizer, recipe.steps)
        self.prompts = Prompts(recipe.prompts)
        self.sampling = Sampling(recipe.temperature, recipe.top_p, recipe.top_k)
        self.scoring = Scoring(recipe.reward.normaliser, recipe.reward.fixed, recipe.reward.render_weight)
        self.banned = jnp.asarray(forbidden_tokens(policy.config, len(policy.processor.tokenizer)))
        self.objective = Objective.of(recipe)
        self.length = recipe.max_prompt_length + recipe.max_new_tokens
        parts = []
        for number, part in enumerate(recipe.data.mixture):
            source = open_source(part.source, **part.options)
            data = grain.MapDataset.range(len(source)).seed(recipe.seed + number).shuffle().repeat()
            parts.append(data.map(lambda index, source=source: source[int(index)]))
        # Random access by step: what a resumed run sees next needs no iterator state.
        self.programs = grain.MapDataset.mix(parts, [part.weight for part in recipe.data.mixture])

    def train(self) -> LanguageModel:
        recipe, policy = self.recipe, self.policy
        params = jax.tree.map(lambda x: x.copy(), policy.params)
        state = shard_state(TrainState.create(params, self.optimizer), self.mesh)
        checkpoints = Checkpoints(self.run.checkpoints, recipe.keep_checkpoints)
        start = 0
        if (restored := checkpoints.restore(state)) is not None:
            start, state, _ = restored
        self.run.resume_at(start)
        with Ticker(f"grpo {Path(recipe.out).name}", recipe.steps, start, quiet=self.quiet) as ticker:
            for step in range(start + 1, recipe.steps + 1):
                began = time.monotonic()
                state, metrics = self.step(step, state)
                if step % recipe.log_every == 0 or step == recipe.steps:
                    self.run.log(step, **metrics, seconds=time.monotonic() - began)
                ticker.update(step, reward=metrics["reward"], rendered=metrics["render_rate"])
                if step % recipe.checkpoint_every == 0 or step == recipe.steps:
                    checkpoints.save(step, state, {})
        checkpoints.close()
        settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
        trained = LanguageModel(policy.graphdef, state.params, policy.processor, settings)
        if jax.process_index() == 0:
            trained.save(self.run.path / "model", dtype=recipe.dtype.param)
        return trained

    def references(self, step: int) -> list[tuple[str, np.ndarray]]:
        """Task and image of each prompt of a step; what does not render is passed over for the next program."""
        recipe, out = self.recipe, []
        first = (step - 1) * recipe.prompts_per_step
        programs = [self.programs[first + i] for i in range(recipe.prompts_per_step)]
        spare = first + recipe.steps * recipe.prompts_per_step
        for program, result in zip(programs, self.pool.map((p.task, p.code) for p in programs), strict=True):
            for retry in range(20):
                if result.ok:
                    break
                program = self.programs[spare + retry]
                result = self.pool.render(program.task, program.code)
            if not result.ok:
                raise ValueError(f"20 references in a row do not render; the last is {program.name}: {result.error}")
            out.append((program.task, result.image))
        return out

    def step(self, step: int, state: TrainState) -> tuple[TrainState, dict[str, float]]:
        """Samples, scores, updates."""
        recipe = self.recipe
        pictures = self.references(step)
        clock = [time.monotonic()]

        def lap() -> float:
            clock.append(time.monotonic())
            return clock[-1] - clock[-2]

        rollouts = sample_rollouts(
            self.policy,
            state.params,
            pictures,
            self.prompts,
            self.sampling,
            n=recipe.rollouts,
            max_new_tokens=recipe.max_new_tokens,
            length=recipe.max_prompt_length,
            patches=recipe.max_patches,
            seed=recipe.seed * 1_000_003 + step,
            rows=recipe.rollout_prompts,
        )
        seconds = {"rollout_s": lap()}
        answers = [(*pictures[row // recipe.rollouts], text) for row, text in enumerate(rollouts.texts)]
        attempts = score_attempts(
            answers,
            self.pool,
            self.erm,
            self.scoring,
            seed=recipe.seed * 1_000_003 + step,
            length=recipe.reward.max_prompt_length,
            patches=recipe.reward.max_patches,
        )
        seconds["reward_s"] = lap()
        rewards = [attempt.reward.value for attempt in attempts]
        advantages = group_advantages(rewards, recipe.rollouts, recipe.advantage)
        counts = np.array([reward is not None for reward in rewards])
        batch = rollout_batch(rollouts, advantages, counts, self.policy, length=self.length, patches=recipe.max_patches)
        state, metrics = self.update(state, batch, self.rate(step - 1))
        seconds["update_s"] = lap()
        if self.run.write and (step % recipe.checkpoint_every == 0 or step in (1, recipe.steps)):
            dump_rollouts(self.run.path / "rollouts" / f"{step:06d}", attempts, advantages, recipe.rollouts)
        if self.on_step is not None:
            self.on_step(step, attempts, advantages)
        known = [reward for reward in rewards if reward is not None]
        groups = np.asarray([np.nan if r is None else r for r in rewards]).reshape(-1, recipe.rollouts)
        metrics |= {
            "reward": float(np.mean(known)) if known else float("nan"),
            "reward_std": float(np.nanmean(np.nanstd(groups, axis=1))) if known else float("nan"),
            "render_rate": float(np.mean([attempt.image is not None for attempt in attempts])),
            "severity": float(np.mean([a.critique.severity for a in attempts if a.critique is not None] or [np.nan])),
            "unscored": int((~counts).sum()),
            "answer_tokens": float(np.mean(rollouts.generated.lengths)),
            "finished": float(np.mean(rollouts.generated.finished)),
            **seconds,
        }
        return state, metrics

    def update(self, state: TrainState, batch: RolloutBatch, rate: float) -> tuple[TrainState, dict[str, float]]:
        """All optimiser steps on one batch of rollouts: mini-batch after mini-batch, each in micro-batches."""
        recipe = self.recipe
        rows = len(batch.advantages)
        mini = recipe.mini_batch * recipe.rollouts
        micro = recipe.micro_batch or mini
        frozen = partial(
            log_probs_of, banned=self.banned, graphdef=self.policy.graphdef, temperature=recipe.temperature
        )
        micros = [shard_batch(take_rows(batch, at, at + micro), self.mesh) for at in range(0, rows, micro)]
        # Before the first update, so that every mini-batch is held against the policy that drew it.
        old = [frozen(state.params, part.inputs) for part in micros]
        reference = [frozen(self.reference_params, part.inputs) for part in micros]
        totals: list[dict[str, Any]] = []
        per_mini = mini // micro
        for first in range(0, len(micros), per_mini):
            gradients = None
            for i in range(first, first + per_mini):
                part, metrics = micro_gradients(
                    state.params,
                    micros[i],
                    old[i],
                    reference[i],
                    self.banned,
                    graphdef=self.policy.graphdef,
                    objective=self.objective,
                )
                totals.append(metrics)
                scaled = jax.tree.map(lambda g: g / per_mini, part) if per_mini > 1 else part
                gradients = scaled if gradients is None else jax.tree.map(jnp.add, gradients, scaled)
            state, norm = apply_gradients(state, gradients, jnp.float32(rate), optimizer=self.optimizer)
            totals[-1] = {**totals[-1], "grad_norm": norm}
        names = totals[-1].keys()
        return state, {name: float(np.mean([float(t[name]) for t in totals if name in t])) for name in names}
