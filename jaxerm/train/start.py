"""A model as a recipe wants it: its number formats, spread over its mesh, with its kind of attention."""

from __future__ import annotations

from dataclasses import replace

import jax

from jaxerm.models.attention import Kernel
from jaxerm.models.language import LanguageModel, load
from jaxerm.models.sharding import make_mesh
from jaxerm.recipe import GrpoRecipe, SftRecipe


def load_for(recipe: SftRecipe | GrpoRecipe, path: str) -> LanguageModel:
    """Loads a model directory straight onto the recipe's mesh.

    Raises:
      FileNotFoundError, ValueError: see `load`.
    """
    mesh = make_mesh(recipe.mesh)
    kernel = Kernel(recipe.attention, mesh) if recipe.attention != "auto" else Kernel.best(jax.default_backend(), mesh)
    if recipe.attention == "auto" and kernel.name == "cudnn" and recipe.dtype.compute == "float32":
        # cuDNN's attention knows 16 bits only.
        kernel = Kernel("xla", mesh)
    if mesh.size == 1:
        kernel = replace(kernel, mesh=None)  # one definition, and one compilation, for models loaded otherwise
    return load(path, dtype=recipe.dtype.compute, param_dtype=recipe.dtype.param, mesh=mesh, kernel=kernel)
