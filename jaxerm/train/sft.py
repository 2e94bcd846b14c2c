"""Supervised fine-tuning: the reward model, the policy's first steps, and the tiny base itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.data.features import TrainBatch
from jaxerm.data.packing import Packing
from jaxerm.data.pipeline import batches, whole_state
from jaxerm.models.language import LanguageModel
from jaxerm.models.sharding import host_shard, keep_state, make_mesh, shard_batch, shard_state
from jaxerm.progress import Ticker
from jaxerm.prompts import Prompts
from jaxerm.recipe import SftRecipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.gauges import Gauges, Work
from jaxerm.train.losses import sft_loss
from jaxerm.train.mixture import components
from jaxerm.train.preemption import Preempted, StopSignal
from jaxerm.train.start import load_for
from jaxerm.train.state import TrainState, learning_rate, make_optimizer
from jaxerm.train.trainable import put_together, take_apart
from jaxerm.train.watch import Watch, noted

Evaluate = Callable[[LanguageModel, RenderPool], dict[str, float]]
"""Measures a model while it trains: names and values for metrics.jsonl."""

_HELD_OUT_SEED = 1_000_003
"""Added to the seed of a run, so that held-out examples are drawn in another order than those trained on."""


@partial(jax.jit, static_argnames=("graphdef", "optimizer", "accumulate", "remat", "chunk"), donate_argnums=0)
def train_step(
    state: TrainState,
    frozen: Any,
    inputs: Any,
    weights: jax.Array,
    learning_rate: jax.Array,
    *,
    graphdef: nnx.GraphDef,
    optimizer: Any,
    accumulate: int = 1,
    remat: str = "none",
    chunk: int | None = None,
):
    """One step: loss on the answers, gradients, the optimiser.

    Args:
      state, frozen: what is trained and what is not, see `Trainable`.
      inputs, weights: B rows; see `sft_loss`.
      learning_rate: float32[].
      accumulate: parts the rows are worked on in, one after another. The loss is the mean over all tokens of the batch,
        whatever their number in each part, so that it changes memory and time, not the step.

    Returns:
      The next state and, float32[] each, ``loss`` in nats a token, ``grad_norm``, ``answer_tokens`` and ``fill``, the
      share of token slots that hold a token.
    """
    total = jnp.maximum(jnp.sum(weights), 1)

    def loss_of(params, inputs, weights):
        return sft_loss(put_together(graphdef, params, frozen), inputs, weights, total, remat=remat, chunk=chunk)

    def grad(params, inputs, weights):
        loss, gradients = jax.value_and_grad(loss_of)(params, inputs, weights)
        return loss, keep_state(gradients, put_together(graphdef, params, frozen).kernel.mesh)

    if accumulate == 1:
        loss, gradients = grad(state.params, inputs, weights)
    else:
        # Every accumulate-th row: a device's own rows are neighbours, and each part gets as many of each device.
        parts = jax.tree.map(lambda x: x.reshape(-1, accumulate, *x.shape[1:]).swapaxes(0, 1), (inputs, weights))
        zero = (jnp.float32(0), jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), state.params))
        loss, gradients = jax.lax.scan(
            lambda sums, part: (jax.tree.map(jnp.add, sums, grad(state.params, *part)), None), zero, parts
        )[0]
    state, norm = state.apply(gradients, optimizer, learning_rate)
    fill = jnp.mean(inputs.segment_ids > 0)
    return state, {"loss": loss, "grad_norm": norm, "answer_tokens": jnp.sum(weights), "fill": fill}


@partial(jax.jit, static_argnames=("graphdef", "chunk"))
def _held_out(params, frozen, inputs, weights, *, graphdef, chunk=None):
    """Sum of the negative log-likelihoods of a batch, and how many tokens they are of."""
    model = put_together(graphdef, params, frozen)
    return sft_loss(model, inputs, weights, jnp.float32(1), chunk=chunk), jnp.sum(weights)


def run_sft(
    recipe: SftRecipe,
    *,
    model: LanguageModel | None = None,
    pool: RenderPool | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    on_batch: Callable[[TrainBatch], None] | None = None,
    evaluate: Evaluate | None = None,
) -> LanguageModel:
    """Trains, resuming from the run folder's newest checkpoint if there is one.

    The run folder gets ``metrics.jsonl`` (loss in nats a token, gradient norm, tokens trained on, seconds),
    ``checkpoints`` and, at the end, ``model`` in Hugging Face layout, LoRA merged.

    Args:
      recipe: what is trained on what.
      model: start from this one instead of loading `recipe.model`.
      pool: render with this one instead of starting another.
      overwrite: delete the run that is in the folder.
      resume: go on with it though the recipe has changed.
      quiet: no progress bar.
      on_batch: called with every batch, before the step.
      evaluate: measures more than the held-out loss where the recipe has an `evaluation`.

    Returns:
      The trained model.

    Raises:
      Preempted: the process was told to end by SIGTERM, and a checkpoint was written.
    """
    run = RunDir(recipe.out, recipe, overwrite=overwrite, resume=resume, write=jax.process_index() == 0)
    if model is None:
        model = load_for(recipe, recipe.model)
    own_pool = None if pool is not None else RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render))
    try:
        with StopSignal() as stop, Checkpoints(run.checkpoints, recipe.keep_checkpoints) as checkpoints:
            hooks = (on_batch, evaluate, stop, checkpoints)
            return _Trainer(recipe, model, pool or own_pool, run, quiet, *hooks).train()
    finally:
        run.close()
        if own_pool is not None:
            own_pool.close()


class _Trainer:
    """The loop and what stays the same in it."""

    def __init__(self, recipe, model, pool, run, quiet, on_batch, evaluate, stop, checkpoints):
        self.recipe, self.pool, self.run, self.quiet = recipe, pool, run, quiet
        self.on_batch, self.evaluate, self.stop, self.checkpoints = on_batch, evaluate, stop, checkpoints
        self.mesh = make_mesh(recipe.mesh)
        self.parts = take_apart(model, recipe)
        self.frozen = shard_state(self.parts.frozen, self.mesh)
        self.packing = Packing(recipe.batch_size, recipe.max_length, recipe.max_patches, recipe.data.streams)
        self.held_out: list[TrainBatch] | None = None
        self.watch = Watch(recipe.watch)
        self.gauges = Gauges(recipe, model.config, self.mesh)

    def batches(self, mixture: Any, seed: int) -> Any:
        """An endless iterator of batches of a mixture."""
        recipe = self.recipe
        parts = components(
            mixture,
            self.pool,
            Prompts(recipe.prompts),
            seed=seed,
            max_edits=recipe.data.max_edits,
            clean_share=recipe.data.clean_share,
        )
        how = {"seed": seed, "shard": host_shard(self.mesh), "prefetch": recipe.data.prefetch}
        return batches(parts, self.parts.model.processor, self.packing, **how)

    def train(self) -> LanguageModel:
        recipe = self.recipe
        optimizer, rate = make_optimizer(recipe.optimizer), learning_rate(recipe.optimizer, recipe.steps)
        # A copy: the step donates its state, and the caller keeps its model.
        params = jax.tree.map(lambda x: x.copy(), self.parts.params)
        state = shard_state(TrainState.create(params, optimizer), self.mesh)
        self.data = data = self.batches(recipe.data.mixture, recipe.seed)
        start = 0
        if (restored := self.checkpoints.restore(state)) is not None:
            start, state, extra = restored
            data.set_state(extra["data"])
            self.watch.load(extra.get("watch"))
        self.run.resume_at(start)
        self.clock = time.monotonic()
        pending = None
        with Ticker(f"sft {Path(recipe.out).name}", recipe.steps, start, quiet=self.quiet) as self.ticker:
            for step in range(start + 1, recipe.steps + 1):
                batch = next(data)
                if self.on_batch is not None:
                    self.on_batch(batch)
                inputs, weights = shard_batch((batch.inputs, batch.weights), self.mesh)
                lr = rate(step - 1)
                state, metrics = train_step(
                    state,
                    self.frozen,
                    inputs,
                    weights,
                    jnp.float32(lr),
                    graphdef=self.parts.model.graphdef,
                    optimizer=optimizer,
                    accumulate=recipe.accumulate,
                    remat=recipe.remat,
                    chunk=recipe.logits_chunk,
                )
                # Read a step late: the host makes the next batch while the device works on this one.
                if pending is not None:
                    self.log(*pending)
                work = self.gauges.batch_work(batch.inputs, batch.weights, recipe.batch_size)
                pending = (step, {**metrics, "learning_rate": lr}, work)
                measured = self.measure(step, state)
                stopped = self.stop.asked()
                save = step % recipe.checkpoint_every == 0 or step == recipe.steps or stopped
                save |= measured.get("eval_loss", np.inf) < self.checkpoints.best_loss
                if save or measured:
                    self.log(*pending, **measured)
                    pending = None
                if save:
                    extra = {"data": whole_state(data.get_state()), "watch": self.watch.state()}
                    self.checkpoints.save(step, state, extra, measured.get("eval_loss"))
                if stopped and step < recipe.steps:
                    raise Preempted(f"SIGTERM: saved at step {step} of {recipe.steps}; the same command goes on")
            if pending is not None:
                self.log(*pending)
        data.close()
        settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
        trained = self.parts.trained(state.params, settings)
        trained.save(self.run.path / "model", dtype=recipe.dtype.param)
        return trained

    def log(self, step: int, metrics: dict[str, Any], work: Work, **measured: float) -> None:
        """One line of metrics; reading them waits for the step."""
        recipe = self.recipe
        metrics = {name: float(value) for name, value in metrics.items()}
        now = time.monotonic()
        alarms = self.watch.look(step, metrics)
        if step % recipe.log_every == 0 or step == recipe.steps or measured or alarms:
            seconds = now - self.clock
            cost = {"seconds": seconds, **self.gauges.speed(work, seconds), **self.gauges.memory()}
            skipped = sum(self.data.skipped.values())
            self.run.log(step, **metrics, skipped=skipped, **measured, **cost, **noted(alarms))
            self.run.tell(isolation=self.pool.isolation)
        self.clock = now
        self.ticker.update(step, loss=metrics["loss"])
        if alarms:
            self.checkpoints.wait()
        self.watch.act(step, alarms, self.run.path, self.ticker.say)

    def measure(self, step: int, state: TrainState) -> dict[str, float]:
        """The held-out figures of this step; empty where none are due."""
        plan = self.recipe.evaluation
        if plan is None or (step % plan.every and step != self.recipe.steps):
            return {}
        if self.held_out is None:
            data = self.batches(plan.mixture, self.recipe.seed + _HELD_OUT_SEED)
            self.held_out = [next(data) for _ in range(plan.batches)]
            data.close()
        total = count = 0.0
        for batch in self.held_out:
            inputs, weights = shard_batch((batch.inputs, batch.weights), self.mesh)
            graphdef = self.parts.model.graphdef
            loss, tokens = _held_out(
                state.params, self.frozen, inputs, weights, graphdef=graphdef, chunk=self.recipe.logits_chunk
            )
            total, count = total + float(loss), count + float(tokens)
        measured = {"eval_loss": total / max(count, 1)}
        if self.evaluate is not None and plan.pairs:
            model = self.parts.trained(state.params, {"prompts": self.recipe.prompts})
            measured |= {f"eval_{name}": value for name, value in self.evaluate(model, self.pool).items()}
        return measured
