"""Operations of a traced program: what it does, beside what the model needs (`models.qwen3_vl.flops`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import Literal


def program_flops(jaxpr: Any, turns: int = 1, scope: str = "") -> float:
    """Operations of all matmuls of a traced program, over all devices, recomputation included.

    It is the program as it is handed to the compiler, without what nobody reads the result of. Scans are multiplied
    out; splash kernels count the blocks they visit in a row of one segment, the most there can be.

    Args:
      turns: how often the body of a `lax.while_loop` counts, whose length no program tells.
      scope: names of the scopes around the program. Those inside a jitted function do not say what it stands in.
    """
    total = 0.0
    for equation in _read(jaxpr):
        name, params = equation.primitive.name, equation.params
        within = f"{scope}/{equation.source_info.name_stack}"
        if name == "dot_general":
            (contract, _), _ = params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contract)
        elif name == "ragged_dot_general":
            rows, inner = equation.invars[0].aval.shape[-2:]
            out = equation.outvars[0].aval.shape
            # With the weights as output, [expert, in, out], rows are what is summed over.
            total += 2.0 * rows * inner * (out[-1] if len(out) == 2 else equation.invars[1].aval.shape[-1])
        elif name == "pallas_call":
            blocks = math.prod(params["grid_mapping"].grid)
            side = params["grid_mapping"].grid[-1]
            share = (side + 1) / (2 * side) if "splash_causal" in within else 1.0
            total += blocks * share * program_flops(params["jaxpr"], turns)
        else:
            inner = sum(program_flops(sub, turns, within) for sub in _inner(params))
            if name in ("scan", "while"):
                inner *= params["length"] if name == "scan" else turns
            elif name == "shard_map":
                inner *= math.prod(params["mesh"].shape.values())
            elif name == "cond":
                branches = [getattr(branch, "jaxpr", branch) for branch in params["branches"]]
                inner = max((program_flops(b, turns, within) for b in branches), default=0.0)
            total += inner
    return total


def _read(jaxpr: Any) -> Iterator[Any]:
    """Equations with an effect, such as a kernel's writing, or with a result that is read or is the program's own.

    A kernel that need not run again in the backward pass is traced there all the same, and dropped by the compiler.
    """
    wanted = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    for equation in reversed(jaxpr.eqns):
        if equation.effects or wanted.intersection(equation.outvars):
            wanted.update(v for v in equation.invars if not isinstance(v, Literal))
            yield equation


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one
