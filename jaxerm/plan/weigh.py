"""What one program holds, does and sends: compiled here, or for a TPU in a process of its own that ends early.

Placing buffers takes a small part of the time that a TPU's machine code takes, and after it all that is asked for is
known. The compiler writes it to a folder, and the process that compiles is ended there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import jax

from jaxerm.models.attention import Kernel
from jaxerm.models.chips import Chip
from jaxerm.models.sharding import make_mesh
from jaxerm.plan.chips import open_topology
from jaxerm.plan.collectives import collective_bytes
from jaxerm.plan.flops import program_flops
from jaxerm.plan.programs import Program, programs_of, resident_bytes
from jaxerm.recipe import KINDS, GrpoRecipe, SftRecipe

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT])"
_OUT_OF_MEMORY = (
    # What the compiler says when the whole does not fit, and when what is made on the way alone does not.
    (re.compile(rf"Used {_SIZE} of {_SIZE} hbm"), False),
    (re.compile(rf"HLO temporaries \({_SIZE}\) exceeds available HBM \({_SIZE}\)"), True),
)
_PLACED = re.compile(r"Memory Space: default \(color=0\)\s+Total bytes: (\d+)")


def open_programs(
    recipe: SftRecipe | GrpoRecipe, topology: str, only: str | None = None
) -> tuple[list[Program], Any, Kernel, Chip | None, str]:
    """The programs of a recipe on a topology; mesh, attention, chip and platform."""
    devices, chip, platform = open_topology(topology)
    mesh = make_mesh(dict(recipe.mesh), devices)
    kernel = Kernel.best(platform, mesh if mesh.size > 1 else None)
    return programs_of(recipe, mesh, kernel, only), mesh, kernel, chip, platform


def weigh(program: Program, devices: int, chip: Chip | None, platform: str) -> dict[str, Any]:
    """Compiles one program and reads off what a chip holds, does and sends."""
    traced = program.function.trace(*program.arguments, **program.settings)
    flops = program_flops(traced.jaxpr.jaxpr, program.turns)
    beside, held = resident_bytes(program.beside), resident_bytes(program.arguments)
    entry: dict[str, Any] = {
        "name": program.name,
        "model_flops": program.model_flops,
        "hlo_flops": flops,
        "recomputation": flops / program.model_flops,
        "argument_bytes": held,
        "beside_bytes": beside,
        "fixed_bytes": resident_bytes(program.fixed) + beside,
    }
    lowered = traced.lower(lowering_platforms=(platform,))
    try:
        own, text = _placed(lowered) if platform == "tpu" else _compiled(lowered)
    except jax.errors.JaxRuntimeError as error:
        if (needed := needed_bytes(str(error), held)) is None:
            raise
        return entry | {"fits": False, "temp_bytes": max(needed - held, 0), "hbm_bytes": needed + beside}
    moved = collective_bytes(text)
    entry |= {
        "fits": chip is None or own + beside <= chip.hbm_bytes,
        "temp_bytes": max(own - held, 0),
        "hbm_bytes": own + beside,
        "collective_bytes": moved,
    }
    if chip is None:
        return entry
    least = {
        "compute": flops / devices / chip.flops,
        "memory": program.turns * resident_bytes(program.read) / chip.hbm_bandwidth,
        "network": sum(moved.values()) / chip.ici_bandwidth,
    }
    seconds = max(least.values())
    return entry | {
        "bound_seconds": least,
        "step_seconds_at_least": seconds,
        "mfu_at_most": program.model_flops / devices / chip.flops / seconds,
    }


def _compiled(lowered: Any) -> tuple[int, str]:
    """Bytes of arguments, results and temporaries, and the program's text."""
    compiled = lowered.compile()
    memory = compiled.memory_analysis()
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return own + memory.temp_size_in_bytes, compiled.as_text()


def _placed(lowered: Any) -> tuple[int, str]:
    """The same from what the compiler writes when it has placed its buffers; it is left compiling."""
    folder = Path(os.environ[_FOLDER])
    for old in folder.glob("*"):
        if old.is_file():
            old.unlink()
    failed: list[Exception] = []

    def work():
        try:
            lowered.compile()
        except Exception as error:
            failed.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    # The last of the files: when it is there, the others are whole.
    while worker.is_alive() and not list(folder.glob("*.after_optimizations_after_buffer_assignment.txt")):
        time.sleep(0.1)
    if failed:
        raise failed[0]
    report = next(folder.glob("*.after_optimizations-memory-usage-report.txt")).read_text()
    return int(_PLACED.search(report)[1]), next(folder.glob("*.after_optimizations.txt")).read_text()


_FOLDER = "JAXERM_PLAN_FOLDER"


def weigh_apart(recipe: SftRecipe | GrpoRecipe, topology: str, name: str, only: str | None) -> dict[str, Any]:
    """`weigh` of one program of a recipe, in a process that is left as soon as all is known.

    Raises:
      RuntimeError: the compiler failed for another reason than memory.
    """
    values = recipe.model_dump(mode="json", exclude_unset=True) | {"kind": recipe.kind}
    with tempfile.TemporaryDirectory() as folder:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder} --xla_dump_hlo_as_text"
        # What comes out of a cache is not compiled, and nothing is written of it.
        fresh = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        environment = os.environ | fresh | {"XLA_FLAGS": flags, _FOLDER: folder}
        done = subprocess.run(
            [sys.executable, "-m", "jaxerm.plan.weigh"],
            input=json.dumps({"recipe": values, "topology": topology, "name": name, "only": only}),
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"{name} cannot be compiled for {topology}: {(done.stderr.strip() or 'killed')[-2000:]}")
    return json.loads(done.stdout)


def _main() -> None:
    asked = json.loads(sys.stdin.read())
    recipe = KINDS[asked["recipe"]["kind"]].model_validate(asked["recipe"])
    programs, mesh, _, chip, platform = open_programs(recipe, asked["topology"], asked["only"])
    program = next(program for program in programs if program.name == asked["name"])
    print(json.dumps(weigh(program, mesh.size, chip, platform)), flush=True)
    # The compiler is still at work, and no one waits for it.
    os._exit(0)


def needed_bytes(message: str, held: int) -> int | None:
    """What the compiler says a program needs that it refuses; None if it refuses for another reason.

    Args:
      held: bytes of the program's arguments.
    """
    for pattern, temporaries in _OUT_OF_MEMORY:
        if found := pattern.search(message):
            return int(float(found[1]) * _UNITS[found[2]]) + (held if temporaries else 0)
    return None


if __name__ == "__main__":
    _main()
