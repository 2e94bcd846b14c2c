"""From a run folder to a model directory that Hugging Face, vLLM and jaxerm load."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from jaxerm.models.sharding import state_shardings
from jaxerm.recipe import SftRecipe, load_recipe
from jaxerm.runs import RunDir
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.roles import role_mesh
from jaxerm.train.start import load_for
from jaxerm.train.state import TrainState, make_optimizer
from jaxerm.train.trainable import take_apart


def export_run(run: str | Path, out: str | Path, *, step: int | None = None, best: bool = False) -> int:
    """Writes the model of a checkpoint; low-rank updates are merged, frozen parts come from where the run started.

    Args:
      run: its folder; it may still be running.
      out: directory to write; it must be new or empty.
      step: of the checkpoint; the newest if None.
      best: the one with the lowest held-out loss instead.

    Returns:
      The step of the checkpoint.

    Raises:
      RunError: no run folder.
      ValueError: no such checkpoint, or a directory that holds something.
    """
    folder, out = RunDir(run), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty; name another directory")
    recipe = load_recipe(folder.config_path)
    with Checkpoints(folder.checkpoints, read_only=True) as checkpoints:
        steps = checkpoints.steps
        if not steps:
            raise ValueError(f"{folder.path} holds no checkpoint yet")
        if best and checkpoints.best is None:
            raise ValueError(f"{folder.path} has no best checkpoint: its recipe has no `evaluation`")
        step = checkpoints.best if best else checkpoints.newest if step is None else step
        if step not in steps:
            raise ValueError(f"{folder.path} holds no checkpoint of step {step}; it holds {', '.join(map(str, steps))}")
        model = load_for(recipe, recipe.model if isinstance(recipe, SftRecipe) else recipe.policy)
        parts = take_apart(model, recipe)
        like = jax.eval_shape(lambda params: TrainState.create(params, make_optimizer(recipe.optimizer)), parts.params)
        places = state_shardings(like, role_mesh(recipe))
        like = jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), like, places)
        step, state, _ = checkpoints.restore(like, step)
    settings = {"prompts": recipe.prompts, "max_new_tokens": recipe.max_new_tokens, "render": recipe.render}
    parts.trained(state.params, settings).save(out, dtype=jnp.dtype(recipe.dtype.param))
    return step
