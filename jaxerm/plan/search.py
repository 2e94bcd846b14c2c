"""When a recipe does not fit: what to change in it, tried from what costs least, in few compilations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from jaxerm.plan.programs import training_rows
from jaxerm.recipe import GrpoRecipe, SftRecipe

Recipe = SftRecipe | GrpoRecipe
_TRIES = 8
"""Compilations of the program that is largest; each takes minutes for a model of eight billion parameters."""


def nearest_that_fits(
    recipe: Recipe, result: dict[str, Any], attempt: Callable[..., dict[str, Any]]
) -> dict[str, Any] | None:
    """Changes to a recipe with which it fits, its keys as they are written in overrides.

    Recomputing all of each layer, then gradients or answers in smaller parts, then another mesh and both again; what is
    learned stays the same. Only the programs that did not fit are compiled, until they do; then the others, if the mesh
    is another.

    Args:
      recipe: that does not fit.
      result: its plan.
      attempt: (recipe, names of programs or None for all) -> plan.

    Returns:
      ``{"remat": "full", "accumulate": 2}`` and such; None if nothing was found, which is certain where the weights
      and what belongs to them are more than a chip has.
    """
    limit, tried = result["hbm_limit_bytes"], 0
    failed = {entry["name"]: entry for entry in result["programs"] if not entry["fits"]}
    if result["mesh"]["data"] == 1 and any(entry["fixed_bytes"] >= limit for entry in failed.values()):
        return None
    for changes in _candidates(recipe, failed, limit, result):
        if tried == _TRIES:
            return None
        tried += 1
        changed = with_changes(recipe, changes)
        try:
            trial = attempt(changed, [*failed])
            if trial["fits"] and "mesh" in changes and len(failed) < len(result["programs"]):
                trial = attempt(changed, [e["name"] for e in result["programs"] if e["name"] not in failed])
        except ValueError:  # rows or heads that this mesh cannot share out
            continue
        if trial["fits"]:
            return changes
    return None


def with_changes(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with dotted keys replaced, checked anew."""
    values = recipe.model_dump(exclude_unset=True)
    for key, value in changes.items():
        *path, last = key.split(".")
        at = values
        for part in path:
            at = at[part]
        at[last] = value
    return type(recipe).model_validate(values)


def _candidates(
    recipe: Recipe, failed: dict[str, dict[str, Any]], limit: int, result: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Sets of changes from what costs least to what costs most."""
    cheap: dict[str, Any] = {}
    if "train_step" in failed:
        if recipe.remat != "full":
            cheap["remat"] = "full"
        if recipe.logits_chunk is None or recipe.logits_chunk > 512:
            cheap["logits_chunk"] = 512
        if cheap:
            yield dict(cheap)
    devices = result["devices"]
    meshes = [{"data": 1, "fsdp": devices // tensor, "tensor": tensor} for tensor in (1, 2, 4) if devices % tensor == 0]
    if result["mesh"]["data"] > 1:
        # Replicas of the weights cost most; without them the rest is tried.
        cheap["mesh"], result = meshes[0], result | {"mesh": meshes[0]}
        failed = {name: entry | {"fixed_bytes": limit // 2} for name, entry in failed.items()}
        yield dict(cheap)
    yield from _fewer_rows(recipe, failed, limit, result, cheap)
    for mesh in meshes[1:]:
        if mesh != result["mesh"]:
            yield cheap | {"mesh": mesh}
            yield from _fewer_rows(recipe, failed, limit, result | {"mesh": mesh}, cheap | {"mesh": mesh})


def _fewer_rows(recipe, failed, limit, result, changes) -> Iterator[dict[str, Any]]:
    """Halves of what each failed program works on at once, begun where its memory says that it may fit."""
    shards = result["mesh"]["data"] * result["mesh"]["fsdp"]
    last: dict[str, int] = {}
    for more in range(_TRIES):
        rows: dict[str, int] = {}
        for name, entry in failed.items():
            key, now, least = _rows_of(recipe, name, shards)
            fixed = entry["fixed_bytes"]
            share = (limit - fixed) / (entry["hbm_bytes"] - fixed)
            # Not all that is no argument shrinks with the rows: it may take one halving more.
            halvings = max(1, math.ceil(-math.log2(share))) + more
            while halvings and (now % 2**halvings or now >> halvings < least):
                halvings -= 1
            if halvings:
                rows[key] = min(rows.get(key, now), now >> halvings)
        if rows == last:
            return
        last = rows
        yield changes | {key: value for name, n in rows.items() for key, value in _as_keys(recipe, name, n).items()}


def _rows_of(recipe: Recipe, program: str, shards: int) -> tuple[str, int, int]:
    """The key that says how many rows a program works on, their number, and the least that every device has work."""
    if program == "train_step":
        return "rows", training_rows(recipe), shards
    if program == "scoring":
        return "reward.rows", recipe.reward.rows, 1
    prompts = min(recipe.rollout_prompts or recipe.prompts_per_step, recipe.prompts_per_step)
    return "rollout_prompts", prompts, 1


def _as_keys(recipe: Recipe, key: str, rows: int) -> dict[str, Any]:
    if key != "rows":
        return {key: rows}
    if isinstance(recipe, GrpoRecipe):
        return {"micro_batch": rows}
    return {"accumulate": recipe.batch_size // rows}
