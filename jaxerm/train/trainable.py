"""What of a model is trained and what stands still: all of it, all but some towers, or LoRA's factors alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
from flax import nnx

from jaxerm.models.language import LanguageModel
from jaxerm.models.lora import TEXT_LINEARS, VISION_LINEARS, add_lora, is_lora
from jaxerm.recipe import GrpoRecipe, SftRecipe


@dataclass(frozen=True)
class Trainable:
    """A model taken apart.

    Attributes:
      model: as it was when training began, its LoRA factors in place; its parameters are never donated.
      params: what is trained.
      frozen: the rest; without any array where all is trained. The optimiser keeps no moments of it, and a reference
        policy shares it.
    """

    model: LanguageModel
    params: nnx.State
    frozen: nnx.State

    def whole(self, params: Any) -> nnx.State:
        """All parameters, in the structure `model.graphdef` wants."""
        return nnx.merge_state(params, self.frozen)

    def trained(self, params: Any, settings: dict[str, Any]) -> LanguageModel:
        """The model with other values of what is trained."""
        return replace(self.model, params=self.whole(params), settings=settings)


def put_together(graphdef: nnx.GraphDef, params: Any, frozen: Any = None) -> Any:
    """The module of trained and frozen parameters; `frozen` None or empty where all is trained."""
    return nnx.merge(graphdef, params) if frozen is None else nnx.merge(graphdef, params, frozen)


def _part(path: tuple[Any, ...]) -> str:
    """``vision``, ``merger`` (what joins patches and hands them to the text, DeepStack's too) or ``text``."""
    if str(path[0]) != "visual":
        return "text"
    return "merger" if str(path[1]) in ("merger", "deepstack_mergers") else "vision"


def take_apart(model: LanguageModel, recipe: SftRecipe | GrpoRecipe) -> Trainable:
    """Splits a model as a recipe's `lora` and `freeze` say; a model that has factors already keeps them.

    Raises:
      ValueError: nothing is left to train.
    """
    if recipe.lora is not None:
        lora, module = recipe.lora, model.module
        if not any(is_lora(path) for path, _ in nnx.to_flat_state(model.params)):
            names = TEXT_LINEARS + (VISION_LINEARS if lora.vision else ())
            add_lora(module, lora.rank, lora.alpha, names, seed=recipe.seed)
        graphdef, params = nnx.split(module)
        model = replace(model, graphdef=graphdef, params=params)
        learns = is_lora
    else:

        def learns(path, _):
            return _part(path) not in recipe.freeze

    params, frozen = nnx.split_state(model.params, learns, ...)
    if not jax.tree.leaves(params):
        raise ValueError(f"freeze: {', '.join(recipe.freeze)} leaves nothing to train")
    return Trainable(model, params, frozen)
