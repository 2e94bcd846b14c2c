"""Operations counted twice: what the model needs, and what its program does."""

from __future__ import annotations

import math
from typing import Any

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig


def forward_flops(
    config: Qwen3VLConfig, rows: int, length: int, patches: int, *, predicted: int | None = None
) -> float:
    """Operations of matmuls in one pass: 2 a weight and token, vision tower and head counted, and attention.

    Text attention is causal, half the square; a row's patches are counted as one image, the most there can be.

    Args:
      length, patches: of a row.
      predicted: positions a row at which the vocabulary is predicted; all if None.
    """
    text, vision = config.text, config.vision
    hidden, merged = text.hidden_size, vision.hidden_size * vision.spatial_merge_size**2
    projections = hidden * text.head_dim * 2 * (text.num_heads + text.num_kv_heads)
    if text.num_experts:
        mlp = hidden * (text.num_experts + 3 * text.expert_size * text.experts_per_token)
    else:
        mlp = 3 * hidden * text.intermediate_size
    mixing = 2 * text.num_heads * text.head_dim * length * (length + 1) / 2
    total = text.num_layers * (length * (projections + mlp) + mixing)
    total += (length if predicted is None else predicted) * hidden * text.vocab_size
    if patches:
        block = vision.hidden_size * (4 * vision.hidden_size + 2 * vision.intermediate_size)
        total += vision.depth * (patches * block + 2 * vision.hidden_size * patches**2)
        total += patches * vision.patch_dim * vision.hidden_size
        mergers = 1 + len(vision.deepstack_layers)
        total += mergers * patches / vision.spatial_merge_size**2 * merged * (merged + vision.out_hidden_size)
    return 2.0 * rows * total


def decode_flops(config: Qwen3VLConfig, rows: int, length: int) -> float:
    """Operations of one more token a row behind `length` others, all of which it may see."""
    text = config.text
    one = forward_flops(config, rows, 1, 0)
    return one + 4.0 * rows * text.num_layers * text.num_heads * text.head_dim * (length - 1)


def program_flops(jaxpr: Any) -> float:
    """Operations of all matmuls of a traced program, over all devices, recomputation included.

    It is the program as it is handed to the compiler. Scans are multiplied out, the body of a `lax.while_loop` counts
    once; splash kernels count the blocks they visit.
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
            total += blocks * share * program_flops(params["jaxpr"])
        else:
            inner = sum(program_flops(sub) for sub in _inner(params))
            if name == "scan":
                inner *= params["length"]
            elif name == "shard_map":
                inner *= math.prod(params["mesh"].shape.values())
            elif name == "cond":
                inner = max((program_flops(getattr(b, "jaxpr", b)) for b in params["branches"]), default=0.0)
            total += inner
    return total


def _inner(params: dict[str, Any]):
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one
