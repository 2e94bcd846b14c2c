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

from jaxerm.data.pipeline import Packing, TrainBatch, batches, fill
from jaxerm.models.language import LanguageModel
from jaxerm.models.sharding import keep_state, make_mesh, shard_batch, shard_state
from jaxerm.progress import Ticker
from jaxerm.prompts import Prompts
from jaxerm.recipe import SftRecipe
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.losses import sft_loss
from jaxerm.train.mixture import components
from jaxerm.train.start import load_for
from jaxerm.train.state import TrainState, learning_rate, make_optimizer


@partial(jax.jit, static_argnames=("graphdef", "optimizer", "remat", "chunk"), donate_argnums=0)
def train_step(
    state: TrainState,
    inputs: Any,
    weights: jax.Array,
    learning_rate: jax.Array,
    *,
    graphdef: nnx.GraphDef,
    optimizer: Any,
    remat: str = "none",
    chunk: int | None = None,
):
    """One step: loss on the answers, gradients, AdamW.

    Returns:
      The next state and ``{"loss": nats a token, "grad_norm": ...}``, float32[].
    """

    def loss_of(params):
        return sft_loss(nnx.merge(graphdef, params), inputs, weights, remat=remat, chunk=chunk)

    loss, gradients = jax.value_and_grad(loss_of)(state.params)
    gradients = keep_state(gradients, nnx.merge(graphdef, state.params).kernel.mesh)
    state, norm = state.apply(gradients, optimizer, learning_rate)
    return state, {"loss": loss, "grad_norm": norm}


def run_sft(
    recipe: SftRecipe,
    *,
    model: LanguageModel | None = None,
    pool: RenderPool | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    on_batch: Callable[[TrainBatch], None] | None = None,
) -> LanguageModel:
    """Trains, resuming from the run folder's newest checkpoint if there is one.

    The run folder gets ``metrics.jsonl`` (loss in nats a token, gradient norm, tokens trained on, seconds),
    ``checkpoints`` and, at the end, ``model`` in Hugging Face layout.

    Args:
      recipe: what is trained on what.
      model: start from this one instead of loading `recipe.model`.
      pool: render with this one instead of starting another.
      overwrite: delete the run that is in the folder.
      quiet: no progress bar.
      on_batch: called with every batch, before the step.

    Returns:
      The trained model.
    """
    run = RunDir(recipe.out, recipe, overwrite=overwrite, write=jax.process_index() == 0)
    if model is None:
        model = load_for(recipe, recipe.model)
    own_pool = None if pool is not None else RenderPool(recipe.data.workers, options=RenderOptions(**recipe.render))
    try:
        trained = _train(recipe, model, pool or own_pool, run, quiet, on_batch)
    finally:
        run.close()
        if own_pool is not None:
            own_pool.close()
    return trained


def _train(recipe, model, pool, run, quiet, on_batch) -> LanguageModel:
    mesh = make_mesh(recipe.mesh)
    optimizer = make_optimizer(recipe.optimizer)
    rate = learning_rate(recipe.optimizer, recipe.steps)
    # A copy: the step donates its state, and the caller keeps its model.
    params = jax.tree.map(lambda x: x.copy(), model.params)
    state = shard_state(TrainState.create(params, optimizer), mesh)
    parts = components(
        recipe.data.mixture,
        pool,
        Prompts(recipe.prompts),
        seed=recipe.seed,
        max_edits=recipe.data.max_edits,
        clean_share=recipe.data.clean_share,
    )
    packing = Packing(recipe.batch_size, recipe.max_length, recipe.max_patches)
    data = batches(parts, model.processor, packing, seed=recipe.seed, prefetch=recipe.data.prefetch)

    checkpoints = Checkpoints(run.checkpoints, recipe.keep_checkpoints)
    restored = checkpoints.restore(state)
    start = 0
    if restored is not None:
        start, state, extra = restored
        data.set_state(extra["data"])
    run.resume_at(start)

    clock = time.monotonic()

    def log(step, metrics, tokens, share):
        nonlocal clock
        metrics = {name: float(value) for name, value in metrics.items()}
        now = time.monotonic()
        if step % recipe.log_every == 0 or step == recipe.steps:
            run.log(step, **metrics, answer_tokens=tokens, fill=share, seconds=now - clock)
        clock = now
        ticker.update(step, loss=metrics["loss"])

    pending = None
    with Ticker(f"sft {Path(recipe.out).name}", recipe.steps, start, quiet=quiet) as ticker:
        for step in range(start + 1, recipe.steps + 1):
            batch = next(data)
            if on_batch is not None:
                on_batch(batch)
            inputs, weights = shard_batch((batch.inputs, batch.weights), mesh)
            state, metrics = train_step(
                state,
                inputs,
                weights,
                jnp.float32(rate(step - 1)),
                graphdef=model.graphdef,
                optimizer=optimizer,
                remat=recipe.remat,
                chunk=recipe.logits_chunk,
            )
            # Read a step late: the host makes the next batch while the device works on this one.
            if pending is not None:
                log(*pending)
            pending = (step, metrics, int(np.sum(batch.weights)), fill(batch))
            if step % recipe.checkpoint_every == 0 or step == recipe.steps:
                log(*pending)
                pending = None
                checkpoints.save(step, state, {"data": data.get_state()})
        if pending is not None:
            log(*pending)
    checkpoints.close()
    settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
    trained = LanguageModel(model.graphdef, state.params, model.processor, settings)
    if jax.process_index() == 0:
        trained.save(run.path / "model", dtype=recipe.dtype.param)
    return trained
