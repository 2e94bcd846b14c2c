"""Which devices a role works on: the actor that learns, the policy as it samples, the reference, the reward model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import jax
from flax import nnx
from jax.sharding import Mesh

from jaxerm.models.attention import Kernel
from jaxerm.models.language import LanguageModel
from jaxerm.models.sharding import make_mesh, shard_state
from jaxerm.recipe import GrpoRecipe, SftRecipe

Role = Literal["actor", "rollout", "reference", "reward"]


def role_mesh(recipe: SftRecipe | GrpoRecipe, role: Role = "actor") -> Mesh:
    """The mesh of a role: the recipe's, unless its `role_to_mesh` says otherwise.

    Raises:
      ValueError: devices that are not there, or sizes that do not fit them.
    """
    places = getattr(recipe, "role_to_mesh", {})
    own = places.get(role) or places.get("actor")
    if own is None or own.devices is None:
        return make_mesh((own.mesh if own else None) or recipe.mesh)
    first, last = own.devices
    devices = jax.devices()
    if last > len(devices):
        raise ValueError(f"role_to_mesh.{role}: devices {first} to {last} are asked for; there are {len(devices)}")
    return make_mesh(own.mesh or recipe.mesh, devices[first:last])


def kernel_for(recipe: SftRecipe | GrpoRecipe, mesh: Mesh) -> Kernel:
    """What computes attention on a mesh, as a recipe wants it."""
    kernel = Kernel(recipe.attention, mesh) if recipe.attention != "auto" else Kernel.best(jax.default_backend(), mesh)
    if recipe.attention == "auto" and kernel.name == "cudnn" and recipe.dtype.compute == "float32":
        # cuDNN's attention knows 16 bits only.
        kernel = Kernel("xla", mesh)
    # On one device there is nothing to tell, and models loaded otherwise share what is compiled.
    return replace(kernel, mesh=None) if mesh.size == 1 else kernel


def moved(policy: LanguageModel, recipe: SftRecipe | GrpoRecipe, mesh: Mesh) -> LanguageModel:
    """The model defined for another mesh: its kernel, and what keeps activations in place, must know where it works."""
    module = policy.module
    module.kernel = kernel_for(recipe, mesh)
    return replace(policy, graphdef=nnx.split(module)[0])


class Rollout:
    """The policy as the sampler sees it: the actor's own arrays, or copies of them on devices of its own.

    Args:
      recipe: says where.
      policy: definition and processor.
      actor: mesh of the weights that learn.
    """

    def __init__(self, recipe: GrpoRecipe, policy: LanguageModel, actor: Mesh):
        self.mesh = role_mesh(recipe, "rollout")
        self.moves = self.mesh != actor
        self.policy = policy
        if self.moves:
            self.policy = moved(policy, recipe, self.mesh)

    def weights(self, params: Any) -> Any:
        """The actor's weights where the sampler wants them; resharded, and copied, only where that is elsewhere."""
        return shard_state(params, self.mesh) if self.moves else params
