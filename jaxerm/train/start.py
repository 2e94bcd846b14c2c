"""A model as a recipe wants it: its number formats, spread over its mesh, with its kind of attention."""

from __future__ import annotations

from jaxerm.models.language import LanguageModel, load
from jaxerm.recipe import GrpoRecipe, SftRecipe
from jaxerm.train.roles import Role, kernel_for, role_mesh


def load_for(recipe: SftRecipe | GrpoRecipe, path: str, role: Role = "actor") -> LanguageModel:
    """Loads a model directory straight onto the mesh of a role.

    Raises:
      FileNotFoundError, ValueError: see `load` and `role_mesh`.
    """
    mesh = role_mesh(recipe, role)
    kinds = {"dtype": recipe.dtype.compute, "param_dtype": recipe.dtype.param}
    return load(path, **kinds, mesh=mesh, kernel=kernel_for(recipe, mesh))
