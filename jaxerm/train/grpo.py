"""GRPO of a policy: its answers are rendered, the reward model reads them, and what beats its group is reinforced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxerm.models.language import LanguageModel
from jaxerm.models.sampler import forbidden_tokens
from jaxerm.models.sharding import make_mesh, shard_batch, shard_state
from jaxerm.progress import Ticker
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.metrics import reward_metrics
from jaxerm.rewards.visual_erm import VisualERM
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.collect import Collector
from jaxerm.train.dump import dump_rollouts
from jaxerm.train.gauges import Gauges
from jaxerm.train.objective import Objective, kl_of_answers, log_probs_of, micro_gradients
from jaxerm.train.policy_gradient import count_answers, group_advantages
from jaxerm.train.preemption import Preempted, StopSignal
from jaxerm.train.rollouts import Rollouts, rollout_batch, take_rows
from jaxerm.train.scoring import make_scorer
from jaxerm.train.start import load_for
from jaxerm.train.state import TrainState, learning_rate, make_optimizer
from jaxerm.train.trainable import take_apart
from jaxerm.train.watch import Watch, noted


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
    resume: bool = False,
    quiet: bool = False,
    on_step: Callable[[int, list[Attempt], np.ndarray], None] | None = None,
) -> LanguageModel:
    """Trains a policy, resuming from the run folder's newest checkpoint if there is one.

    The run folder gets ``metrics.jsonl``, ``checkpoints``, ``rollouts`` with their images and, at the end, ``model``.

    Args:
      recipe: what is trained how.
      policy: start from this one instead of loading `recipe.policy`.
      erm: judge with this one instead of opening `recipe.reward`.
      pool: render with this one instead of starting another.
      overwrite: delete the run that is in the folder.
      resume: go on with it though the recipe has changed.
      quiet: no progress bar.
      on_step: called with step, attempts and advantages, after each step.

    Returns:
      The trained policy.

    Raises:
      Preempted: the process was told to end by SIGTERM, and a checkpoint was written.
    """
    run = RunDir(recipe.out, recipe, overwrite=overwrite, resume=resume, write=jax.process_index() == 0)
    if policy is None:
        policy = load_for(recipe, recipe.policy)
    reference = None if recipe.reference is None else load_for(recipe, recipe.reference)
    own_pool = None if pool is not None else RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render))
    try:
        scorer = make_scorer(recipe, pool or own_pool, erm)
        with StopSignal() as stop, Checkpoints(run.checkpoints, recipe.keep_checkpoints) as checkpoints:
            hooks = (on_step, stop, checkpoints)
            return _Trainer(recipe, policy, reference, scorer, run, quiet, *hooks).train()
    finally:
        run.close()
        if own_pool is not None:
            own_pool.close()


class _Trainer:
    """The loop and what stays the same in it."""

    def __init__(self, recipe, policy, reference, scorer, run, quiet, on_step, stop, checkpoints):
        self.recipe, self.run, self.quiet, self.on_step = recipe, run, quiet, on_step
        self.stop, self.checkpoints = stop, checkpoints
        self.mesh = make_mesh(recipe.mesh)
        self.parts = take_apart(policy, recipe)
        self.policy = policy = self.parts.model
        self.frozen = shard_state(self.parts.frozen, self.mesh)
        # The policy as it started shares what is frozen: with LoRA a reference costs nothing but its factors.
        own = (self.parts.params, self.frozen, policy.graphdef)
        params, frozen, graphdef = own if reference is None else (reference.params, None, reference.graphdef)
        self.reference = {"params": shard_state(params, self.mesh), "frozen": frozen, "graphdef": graphdef}
        self.optimizer = make_optimizer(recipe.optimizer)
        self.rate = learning_rate(recipe.optimizer, recipe.steps)
        self.collector = Collector(recipe, policy, scorer)
        self.banned = jnp.asarray(forbidden_tokens(policy.config, policy.processor.tokenizer))
        self.objective = Objective.of(recipe)
        self.length = recipe.max_prompt_length + recipe.max_new_tokens
        self.gauges = Gauges(recipe, policy.config, self.mesh)

    def train(self) -> LanguageModel:
        recipe = self.recipe
        params = jax.tree.map(lambda x: x.copy(), self.parts.params)
        state = shard_state(TrainState.create(params, self.optimizer), self.mesh)
        start, cursor = 0, 0
        watch = Watch(recipe.watch, answers=recipe.prompts_per_step * recipe.rollouts)
        if (restored := self.checkpoints.restore(state)) is not None:
            start, state, extra = restored
            cursor = extra["cursor"]
            watch.load(extra.get("watch"))
        self.run.resume_at(start)
        with Ticker(f"grpo {Path(recipe.out).name}", recipe.steps, start, quiet=self.quiet) as ticker:
            for step in range(start + 1, recipe.steps + 1):
                began = time.monotonic()
                state, cursor, metrics = self.step(step, state, cursor)
                alarms = watch.look(step, metrics)
                if step % recipe.log_every == 0 or step == recipe.steps or alarms:
                    seconds = time.monotonic() - began
                    figures = {**metrics, "seconds": seconds, **self.gauges.memory()}
                    figures |= self.gauges.speed(self.work, seconds, metrics["update_s"])
                    self.run.log(step, **figures, **noted(alarms))
                ticker.update(step, reward=metrics["reward"], rendered=metrics["render_rate"])
                if alarms:
                    self.checkpoints.wait()
                watch.act(step, alarms, self.run.path, ticker.say)
                stopped = self.stop.asked(step)
                if step % recipe.checkpoint_every == 0 or step == recipe.steps or stopped:
                    self.checkpoints.save(step, state, {"cursor": cursor, "watch": watch.state()})
                if stopped and step < recipe.steps:
                    raise Preempted(f"SIGTERM: saved at step {step} of {recipe.steps}; the same command goes on")
        settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
        trained = self.parts.trained(state.params, settings)
        if jax.process_index() == 0:
            trained.save(self.run.path / "model", dtype=recipe.dtype.param)
        return trained

    def step(self, step: int, state: TrainState, cursor: int) -> tuple[TrainState, int, dict[str, float]]:
        """Samples, scores, updates."""
        recipe = self.recipe
        collected = self.collector.collect(step, self.parts.whole(state.params), cursor)
        rollouts, attempts, rewards = collected.rollouts, collected.attempts, collected.rewards
        began = time.monotonic()
        state, advantages, metrics = self.update(state, rollouts, rewards, self.rate(step - 1))
        seconds = time.monotonic() - began
        if self.run.write and (step % recipe.checkpoint_every == 0 or step in (1, recipe.steps)):
            dump_rollouts(self.run.path / "rollouts" / f"{step:06d}", attempts, advantages, recipe.rollouts)
        if self.on_step is not None:
            self.on_step(step, attempts, advantages)
        known = [reward for reward in rewards if reward is not None]
        groups = np.asarray([np.nan if r is None else r for r in rewards]).reshape(-1, recipe.rollouts)
        metrics |= {
            "reward": float(np.mean(known)) if known else float("nan"),
            "reward_std": float(np.nanmean(np.nanstd(groups, axis=1))) if known else float("nan"),
            **reward_metrics(attempts),
            "answer_tokens": float(np.mean(rollouts.generated.lengths)),
            "finished": float(np.mean(rollouts.generated.finished)),
            **collected.metrics,
            "update_s": seconds,
        }
        return state, collected.cursor, metrics

    def update(
        self, state: TrainState, rollouts: Rollouts, rewards: list[float | None], rate: float
    ) -> tuple[TrainState, np.ndarray, dict[str, float]]:
        """All optimiser steps on one lot of rollouts: mini-batch after mini-batch, each in micro-batches."""
        recipe = self.recipe
        counts = np.array([reward is not None for reward in rewards])
        if recipe.overlong == "mask":
            counts &= np.asarray(rollouts.generated.finished)
        blank = np.zeros(len(rewards), np.float32)
        batch = rollout_batch(rollouts, blank, counts, self.policy, length=self.length, patches=recipe.max_patches)
        rows = len(rewards)
        mini = recipe.mini_batch * recipe.rollouts
        micro = recipe.micro_batch or mini
        frozen = partial(log_probs_of, banned=self.banned, temperature=recipe.temperature, chunk=recipe.logits_chunk)
        own = {"frozen": self.frozen, "graphdef": self.policy.graphdef}
        inputs = [shard_batch(take_rows(batch.inputs, at, at + micro), self.mesh) for at in range(0, rows, micro)]
        reference = [frozen(inputs=part, **self.reference) for part in inputs]
        # Before the first update, so that every mini-batch is held against the policy that drew it. With a single
        # update, and no other use for them, they are the step's own.
        needed = rows > mini or recipe.kl_in == "reward"
        self.work = self.gauges.work(batch.inputs, passes=1 + needed)
        old = [frozen(state.params, part, **own) if needed else None for part in inputs]
        if recipe.kl_in == "reward":
            values = zip(old, reference, range(0, rows, micro), strict=True)
            kl = [kl_of_answers(o, r, batch.mask[at : at + micro], recipe.kl_estimator) for o, r, at in values]
            rewards = [
                None if reward is None else reward - recipe.kl_coef * float(k)
                for reward, k in zip(rewards, np.concatenate(kl), strict=True)
            ]
        advantages = group_advantages(rewards, recipe.rollouts, recipe.advantage)
        batch = replace(batch, advantages=advantages)
        totals: list[dict[str, Any]] = []
        per_mini = mini // micro
        for first in range(0, len(inputs), per_mini):
            gradients = None
            tokens, answers = count_answers(batch.mask[first * micro : first * micro + mini])
            for i in range(first, first + per_mini):
                part, metrics = micro_gradients(
                    state.params,
                    shard_batch(take_rows(batch, i * micro, (i + 1) * micro), self.mesh),
                    old[i],
                    reference[i],
                    self.banned,
                    tokens,
                    answers,
                    **own,
                    objective=self.objective,
                )
                # These two are a share of the mini-batch's; the rest are means.
                totals.append(metrics | {name: per_mini * metrics[name] for name in ("loss", "policy_loss")})
                gradients = part if gradients is None else jax.tree.map(jnp.add, gradients, part)
            state, norm = apply_gradients(state, gradients, jnp.float32(rate), optimizer=self.optimizer)
            totals[-1] = {**totals[-1], "grad_norm": norm}
        names = totals[-1].keys()
        means = {name: float(np.mean([float(t[name]) for t in totals if name in t])) for name in names}
        return state, advantages, means
