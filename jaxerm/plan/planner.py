"""From a recipe and a topology to a plan: compile its programs and weigh them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jaxerm.plan.chips import compiler
from jaxerm.plan.programs import training_rows
from jaxerm.plan.search import nearest_that_fits
from jaxerm.plan.weigh import open_programs, weigh, weigh_apart
from jaxerm.recipe import GrpoRecipe, SftRecipe

BOUND = "max(program FLOPs / peak, weights and cache read a turn / HBM bandwidth, collective bytes / ICI bandwidth)"
"""How `step_seconds_at_least` is made, all per chip; `mfu_at_most` is model FLOPs over peak in that time."""


def plan(
    recipe: SftRecipe | GrpoRecipe,
    topology: str,
    *,
    only: str | None = None,
    search: bool = True,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Compiles a recipe's programs for a topology.

    Args:
      recipe: of training.
      topology: see `chips.open_topology`.
      only: name of one program, alone on the machine.
      search: when it does not fit, look for what would.
      told: gets a line for each program that is compiled.

    Returns:
      A JSON object: ``fits``, ``hbm_bytes`` (the largest program with all that lies beside it, a chip),
      ``hbm_limit_bytes``, ``model_flops`` and ``hlo_flops`` (of all devices, all programs once), ``programs``, and
      ``nearest`` when it does not fit: the recipe's keys with values that do (see `search`), or null.

    Raises:
      ValueError: the topology or the recipe cannot be planned, see `open_topology` and `programs_of`.
    """

    def attempt(recipe: SftRecipe | GrpoRecipe, names: list[str] | None = None) -> dict[str, Any]:
        programs, mesh, kernel, chip, platform = open_programs(recipe, topology, only)
        compiled = []
        for program in programs:
            if names is None or program.name in names:
                began = time.monotonic()
                if platform == "tpu":
                    compiled.append(weigh_apart(recipe, topology, program.name, only))
                else:
                    compiled.append(weigh(program, mesh.size, chip, platform))
                fits = "" if compiled[-1]["fits"] else ", does not fit"
                told(f"{program.name}: compiled in {time.monotonic() - began:.0f} s{fits}")
        return {
            "topology": topology,
            "devices": mesh.size,
            "mesh": {axis: int(size) for axis, size in mesh.shape.items()},
            "attention": kernel.name,
            "compiler": compiler(platform),
            "rows": training_rows(recipe),
            "remat": recipe.remat,
            "logits_chunk": recipe.logits_chunk,
            "fits": all(entry["fits"] for entry in compiled),
            "hbm_bytes": max(entry["hbm_bytes"] for entry in compiled),
            "hbm_limit_bytes": chip.hbm_bytes if chip else None,
            "model_flops": sum(entry["model_flops"] for entry in compiled),
            "hlo_flops": sum(entry["hlo_flops"] for entry in compiled),
            "bound": BOUND,
            "programs": compiled,
        }

    result = attempt(recipe)
    if not result["fits"]:
        result["nearest"] = nearest_that_fits(recipe, result, attempt) if search else None
    return result
