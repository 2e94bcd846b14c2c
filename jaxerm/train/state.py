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
    """AdamW without its learning rate, behind clipping by global norm; weight decay on matrices alone.

    The same settings give the same object: what is compiled for it is compiled once.
    """
    return _adamw(recipe.clip_norm, recipe.b1, recipe.b2, recipe.weight_decay)


@cache
def _adamw(clip_norm: float | None, b1: float, b2: float, weight_decay: float) -> optax.GradientTransformation:
    def is_matrix(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: not any(word in jax.tree_util.keystr(path) for word in ("norm", "bias")), params
        )

    return optax.chain(
        optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm),
        optax.scale_by_adam(b1=b1, b2=b2),
        optax.add_decayed_weights(weight_decay, mask=is_matrix),
    )
