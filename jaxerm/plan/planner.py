"""From a recipe and a topology to a plan: compile, weigh, and if it does not fit look for what would."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

import jax

from jaxerm.models.attention import Kernel
from jaxerm.models.chips import Chip
from jaxerm.models.qwen3_vl.layers import REMAT_POLICIES
from jaxerm.models.sharding import make_mesh
from jaxerm.plan.chips import open_topology
from jaxerm.plan.collectives import collective_bytes
from jaxerm.plan.flops import program_flops
from jaxerm.plan.programs import Choices, Program, programs_of, resident_bytes
from jaxerm.recipe import GrpoRecipe, SftRecipe

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_USED = re.compile(r"Used ([\d.]+)([KMGT]) of ([\d.]+)([KMGT]) hbm")

BOUND = "max(program FLOPs / peak, (weights and cache read once) / HBM bandwidth, collective bytes / ICI bandwidth)"
"""How `step_seconds_at_least` is made, all per chip; `mfu_at_most` is model FLOPs over peak in that time."""


def plan(
    recipe: SftRecipe | GrpoRecipe,
    topology: str,
    *,
    remat: str = "full",
    chunk: int = 512,
    search: bool = True,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Compiles a recipe's programs for a topology.

    Args:
      recipe: of training.
      topology: see `chips.open_topology`.
      remat: what the backward pass keeps, see `layers.REMAT_POLICIES`.
      chunk: positions a row whose logits exist at once.
      search: when it does not fit, try more recomputation and smaller batches.
      told: gets a line for each program that is compiled.

    Returns:
      A JSON object: ``fits``, ``hbm_bytes`` (the largest program with all that lies beside it, a chip),
      ``hbm_limit_bytes``, ``model_flops`` and ``hlo_flops`` (of all devices, all programs once), ``programs``, and
      ``nearest`` when it does not fit: choices that do, or null.
    """
    if remat != "none" and remat not in REMAT_POLICIES:
        raise ValueError(f"remat {remat!r} is unknown; there are none, {', '.join(REMAT_POLICIES)}")
    devices, chip, platform = open_topology(topology)
    mesh = make_mesh(dict(recipe.mesh), devices)
    kernel = Kernel.best(platform, mesh)
    batch = (
        recipe.batch_size
        if isinstance(recipe, SftRecipe)
        else recipe.micro_batch or recipe.mini_batch * recipe.rollouts
    )
    choices = Choices(batch, remat, chunk)

    def attempt(choices: Choices, only: str | None = None) -> dict[str, Any]:
        compiled = []
        for program in programs_of(recipe, mesh, kernel, choices):
            if only in (None, program.name):
                began = time.monotonic()
                compiled.append(weigh(program, mesh.size, chip, platform))
                told(f"{program.name}: compiled in {time.monotonic() - began:.0f} s")
        return {
            "topology": topology,
            "devices": mesh.size,
            "mesh": {axis: int(size) for axis, size in mesh.shape.items()},
            "attention": kernel.name,
            "choices": dataclasses.asdict(choices),
            "fits": all(entry["fits"] for entry in compiled),
            "hbm_bytes": max(entry["hbm_bytes"] for entry in compiled),
            "hbm_limit_bytes": chip.hbm_bytes if chip else None,
            "model_flops": sum(entry["model_flops"] for entry in compiled),
            "hlo_flops": sum(entry["hlo_flops"] for entry in compiled),
            "bound": BOUND,
            "programs": compiled,
        }

    result = attempt(choices)
    if not result["fits"]:
        result["nearest"] = _nearest(attempt, choices, mesh.shape["data"] * mesh.shape["fsdp"]) if search else None
    return result


def _nearest(attempt: Callable[..., dict[str, Any]], choices: Choices, shards: int) -> dict[str, Any] | None:
    """Full recomputation first, then half the rows, and half again; only the training program is compiled."""
    trials = [dataclasses.replace(choices, remat="full")] if choices.remat != "full" else []
    rows = choices.batch // 2
    while rows >= shards and rows % shards == 0:
        trials.append(dataclasses.replace(choices, remat="full", batch=rows))
        rows //= 2
    for trial in trials:
        if attempt(trial, only="train_step")["fits"]:
            return dataclasses.asdict(trial)
    return None


def weigh(program: Program, devices: int, chip: Chip | None, platform: str) -> dict[str, Any]:
    """Compiles one program and reads off what a chip holds, does and sends."""
    traced = jax.jit(program.function, donate_argnums=program.donate).trace(*program.arguments)
    flops = program_flops(traced.jaxpr.jaxpr)
    beside = resident_bytes(program.resident)
    held = resident_bytes(program.arguments)
    entry: dict[str, Any] = {
        "name": program.name,
        "model_flops": program.model_flops,
        "hlo_flops": flops,
        "recomputation": flops / program.model_flops,
        "argument_bytes": held,
        "beside_bytes": beside,
    }
    try:
        compiled = traced.lower(lowering_platforms=(platform,)).compile()
    except jax.errors.JaxRuntimeError as error:
        used = _USED.search(str(error))
        if not used:
            raise
        # The compiler refuses what does not fit, and says by how much.
        needed = int(float(used[1]) * _UNITS[used[2]])
        return entry | {"fits": False, "temp_bytes": max(needed - held, 0), "hbm_bytes": needed + beside}
    memory = compiled.memory_analysis()
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    own += memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    moved = collective_bytes(compiled.as_text())
    entry |= {
        "fits": chip is None or own + beside <= chip.hbm_bytes,
        "temp_bytes": memory.temp_size_in_bytes,
        "hbm_bytes": own + beside,
        "collective_bytes": moved,
    }
    if chip is None:
        return entry
    least = {
        "compute": flops / devices / chip.flops,
        "memory": held / chip.hbm_bandwidth,
        "network": sum(moved.values()) / chip.ici_bandwidth,
    }
    seconds = max(least.values())
    return entry | {
        "bound_seconds": least,
        "step_seconds_at_least": seconds,
        "mfu_at_most": program.model_flops / devices / chip.flops / seconds,
    }
