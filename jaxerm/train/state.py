"""What a training step carries: step, parameters, optimiser state; and the optimiser a recipe names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from jaxerm.recipe_schema import Optimizer


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """A pytree.

    Attributes:
      step: int32[], optimiser steps taken.
      params: the model's state.
      opt_state: Optax's.
    """

    step: jax.Array
    params: Any
    opt_state: Any

    @classmethod
    def create(cls, params: Any, optimizer: optax.GradientTransformation) -> TrainState:
        return cls(jnp.zeros((), jnp.int32), params, optimizer.init(params))

    def apply(
        self, gradients: Any, optimizer: optax.GradientTransformation, learning_rate: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        """One optimiser step: params - learning_rate * update.

        Returns:
          The next state, and the norm of the gradients before clipping, float32[].
        """
        updates, opt_state = optimizer.update(gradients, self.opt_state, self.params)
        params = jax.tree.map(lambda p, u: (p - learning_rate * u).astype(p.dtype), self.params, updates)
        return TrainState(self.step + 1, params, opt_state), optax.global_norm(gradients)


def learning_rate(recipe: Optimizer, steps: int) -> Callable[[int], float]:
    """Linear warm-up, then constant, or cosine or linear decay to `decay_to` times the peak at the last step.

    Args:
      recipe: of the optimiser.
      steps: of the whole run.

    Returns:
      Step (from 0) -> learning rate. It is computed on the host and handed to the step as data: runs that differ only
      in their schedule share one compiled program.
    """
    peak, warmup = recipe.lr, recipe.warmup_steps
    rest = max(steps - warmup, 1)

    def at(step: int) -> float:
        if step < warmup:
            # From one step's worth, not from zero: a first step that changes nothing is a step thrown away.
            return peak * (step + 1) / (warmup + 1)
        done = min((step - warmup) / rest, 1.0)
        left = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}[recipe.schedule]
        floor = 0.0 if recipe.schedule == "constant" else recipe.decay_to
        return peak * (floor + (1 - floor) * left)

    return at


def make_optimizer(recipe: Optimizer) -> optax.GradientTransformation:
    """The optimiser a recipe names, without its learning rate and behind clipping by global norm.

    ``adamw``, or ``muon``: momentum whose matrices are orthogonalised (Jordan 2024), scaled to the size of AdamW's
    updates (0.2 sqrt(max(rows, columns)), Liu et al. 2025) so that one learning rate serves both; embeddings, norms,
    biases and the patch embedding stay with Adam. Both with Nesterov's momentum. Weight decay is on matrices alone.

    The same settings give the same object: what is compiled for it is compiled once.
    """
    return _optimizer(recipe.name, recipe.clip_norm, recipe.b1, recipe.b2, recipe.weight_decay)


def _decayed(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: not any(word in jax.tree_util.keystr(path) for word in ("norm", "bias")), params
    )


def _orthogonalised(params: Any) -> Any:
    """Which axes of a leaf are the matrix; None for what AdamW updates. Layers are stacked on a leading axis."""

    def dimensions(path, leaf):
        name = jax.tree_util.keystr(path)
        if "kernel" not in name or "patch_embed" in name:
            return None
        return optax.contrib.MuonDimensionNumbers((leaf.ndim - 2,), (leaf.ndim - 1,))

    return jax.tree_util.tree_map_with_path(dimensions, params)


@cache
def _optimizer(
    name: str, clip_norm: float | None, b1: float, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
    decay = optax.add_decayed_weights(weight_decay, mask=_decayed)
    if name == "adamw":
        return optax.chain(clip, optax.scale_by_adam(b1=b1, b2=b2), decay)
    muon = optax.contrib.muon(
        1.0, adam_b1=b1, adam_b2=b2, consistent_rms=0.2, muon_weight_dimension_numbers=_orthogonalised
    )
    # Optax gives the step to add at a rate of 1; ours is what the rate is multiplied with and then taken off.
    return optax.chain(clip, muon, optax.scale(-1.0), decay)
