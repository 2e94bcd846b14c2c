"""GRPO of a policy: its answers are rendered, the reward model reads them, and what beats its group is reinforced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np

from jaxerm.device_clock import Clock, dispatched
from jaxerm.models.language import LanguageModel
from jaxerm.models.sharding import shard_state, to_host
from jaxerm.progress import Ticker
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.metrics import reward_metrics
from jaxerm.rewards.registry import check_rewards
from jaxerm.rewards.visual_erm import VisualERM
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.collect import Collector, Interrupted
from jaxerm.train.dump import dump_rollouts, dump_timeline, show_rollouts
from jaxerm.train.gauges import Gauges
from jaxerm.train.held_out import HeldOutPolicy
from jaxerm.train.preemption import Preempted, StopSignal
from jaxerm.train.roles import Rollout, role_mesh
from jaxerm.train.scoring import make_judge, make_scorer
from jaxerm.train.start import load_for
from jaxerm.train.state import TrainState, learning_rate
from jaxerm.train.trainable import take_apart
from jaxerm.train.unfinished import Unfinished
from jaxerm.train.update import PolicyUpdate
from jaxerm.train.watch import Watch, noted


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
    check_rewards(recipe.rewards)
    run = RunDir(recipe.out, recipe, overwrite=overwrite, resume=resume, write=jax.process_index() == 0)
    if policy is None:
        policy = load_for(recipe, recipe.policy)
    reference = None if recipe.reference is None else load_for(recipe, recipe.reference, "reference")
    own_pool = None if pool is not None else RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render))
    try:
        judge = erm
        if judge is None and any(part.name == "visual_erm" for part in recipe.rewards):
            judge = make_judge(recipe)
        with StopSignal() as stop, Checkpoints(run.checkpoints, recipe.keep_checkpoints) as checkpoints:
            hooks = (on_step, stop, checkpoints)
            return _Trainer(recipe, policy, reference, judge, pool or own_pool, run, quiet, *hooks).train()
    finally:
        run.close()
        if own_pool is not None:
            own_pool.close()


class _Trainer:
    """The loop and what stays the same in it."""

    def __init__(self, recipe, policy, reference, judge, pool, run, quiet, on_step, stop, checkpoints):
        self.recipe, self.run, self.quiet, self.on_step = recipe, run, quiet, on_step
        self.stop, self.checkpoints = stop, checkpoints
        self.mesh = role_mesh(recipe)
        parts = take_apart(policy, recipe)
        self.parts = replace(parts, frozen=shard_state(parts.frozen, self.mesh))
        self.update = PolicyUpdate(recipe, self.parts, reference)
        self.rate = learning_rate(recipe.optimizer, recipe.steps)
        self.rollout = Rollout(recipe, self.parts.model, self.mesh)
        self.collector = Collector(recipe, self.rollout.policy, make_scorer(recipe, pool, judge), stop.asked)
        self.held_out = HeldOutPolicy(recipe, self.rollout.policy, pool, judge) if recipe.evaluation else None
        self.unfinished = Unfinished(self.run.path / "unfinished.npz")
        self.gauges = Gauges(recipe, policy.config, self.mesh)
        self.watch = Watch(recipe.watch, answers=recipe.prompts_per_step * recipe.rollouts)

    def train(self) -> LanguageModel:
        recipe = self.recipe
        params = jax.tree.map(lambda x: x.copy(), self.parts.params)
        state = shard_state(TrainState.create(params, self.update.optimizer), self.mesh)
        start, cursor = 0, 0
        if (restored := self.checkpoints.restore(state)) is not None:
            start, state, extra = restored
            cursor = extra["cursor"]
            self.watch.load(extra.get("watch"))
        self.run.resume_at(start)
        self.collector.pending = self.unfinished.load(start + 1)
        if start == 0 and (measured := self.measure(0, state)):
            self.run.log(0, **measured)
        with Ticker(f"grpo {Path(recipe.out).name}", recipe.steps, start, quiet=self.quiet) as ticker:
            for step in range(start + 1, recipe.steps + 1):
                try:
                    state, after, metrics = self.step(step, state, cursor)
                except Interrupted:
                    self.unfinished.save(step, self.collector.generated)
                    self.leave(step - 1, state, cursor)
                cursor = after
                alarms = self.watch.look(step, metrics)
                measured = self.measure(step, state)
                if step % recipe.log_every == 0 or step == recipe.steps or measured or alarms:
                    self.run.log(step, **metrics, **measured, **noted(alarms))
                    self.run.tell(isolation=self.collector.pool.isolation)
                ticker.update(step, reward=metrics["reward"], rendered=metrics["render_rate"])
                if alarms:
                    self.checkpoints.wait()
                self.watch.act(step, alarms, self.run.path, ticker.say)
                loss = -measured["eval_reward"] if measured else None
                better = loss is not None and loss < self.checkpoints.best_loss
                if step % recipe.checkpoint_every == 0 or step == recipe.steps or better:
                    self.save(step, state, cursor, loss)
                if step < recipe.steps and self.stop.asked():
                    self.leave(step, state, cursor)
        settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
        trained = self.parts.trained(state.params, settings)
        trained.save(self.run.path / "model", dtype=recipe.dtype.param)
        return trained

    def measure(self, step: int, state: TrainState) -> dict[str, float]:
        """The held-out figures of this step; empty where none are due."""
        plan = self.recipe.evaluation
        if plan is None or (step % plan.every and step != self.recipe.steps):
            return {}
        return self.held_out(self.rollout.weights(self.parts.whole(state.params)))

    def save(self, step: int, state: TrainState, cursor: int, loss: float | None = None) -> None:
        self.checkpoints.save(step, state, {"cursor": cursor, "watch": self.watch.state()}, loss)

    def leave(self, step: int, state: TrainState, cursor: int) -> NoReturn:
        """Saves where the run is, and ends it."""
        self.save(step, state, cursor)
        raise Preempted(f"SIGTERM: saved at step {step} of {self.recipe.steps}; the same command goes on")

    def step(self, step: int, state: TrainState, cursor: int) -> tuple[TrainState, int, dict[str, float]]:
        """Samples, scores, updates."""
        recipe, clock = self.recipe, Clock()
        weights = self.rollout.weights(self.parts.whole(state.params))
        collected = self.collector.collect(step, weights, cursor, clock)
        # The only other hold on weights that the update gives away.
        del weights
        rollouts, attempts, rewards = collected.rollouts, collected.attempts, collected.rewards
        with clock.doing("update"):
            began = time.monotonic()
            state, advantages, figures = self.update(state, rollouts, rewards, self.rate(step - 1))
            dispatched(figures, began)
            # Read while the device is at work; the images are small, the update is not.
            every = recipe.rollouts_every or recipe.checkpoint_every
            if self.run.write and (step % every == 0 or step in (1, recipe.steps)):
                dump_rollouts(self.run.path / "rollouts" / f"{step:06d}", attempts, advantages, recipe.rollouts)
                show_rollouts(self.run, step, attempts, recipe.rollouts)
            metrics = {name: float(np.mean(values)) for name, values in to_host(figures).items()}
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
            "learning_rate": self.rate(step - 1),
            **collected.metrics,
            **clock.figures(),
            "seconds": (seconds := time.monotonic() - clock.began),
            **self.gauges.memory(),
        }
        # The reference's pass, and the policy's own before the first of several updates.
        work = self.gauges.rollouts_work(rollouts, 1 + self.update.needs_old)
        metrics |= self.gauges.speed(work, seconds, metrics["update_s"])
        if (folder := self.run.path / "rollouts" / f"{step:06d}").is_dir():
            dump_timeline(folder, clock.spans())
        return state, collected.cursor, metrics
