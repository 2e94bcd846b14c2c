"""Operations of a traced program: what it does, beside what the model needs (`models.qwen3_vl.flops`)."""

from __future__ import annotations

import math
from typing import Any


def program_flops(jaxpr: Any, turns: int = 1) -> float:
    """Operations of all matmuls of a traced program, over all devices, recomputation included.

    It is the program as it is handed to the compiler. Scans are multiplied out; splash kernels count the blocks they
    visit.

    Args:
      turns: how often the body of a `lax.while_loop` counts, whose length no program tells.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
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
            scope = str(equation.source_info.name_stack)
            side = params["grid_mapping"].grid[-1]
            share = (side + 1) / (2 * side) if "splash_causal" in scope else 1.0
            total += blocks * share * program_flops(params["jaxpr"], turns)
        else:
            inner = sum(program_flops(sub, turns) for sub in _inner(params))
            if name in ("scan", "while"):
                inner *= params["length"] if name == "scan" else turns
            elif name == "shard_map":
                inner *= math.prod(params["mesh"].shape.values())
            elif name == "cond":
                inner = max((program_flops(getattr(b, "jaxpr", b), turns) for b in params["branches"]), default=0.0)
            total += inner
    return total


def _inner(params: dict[str, Any]):
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one
