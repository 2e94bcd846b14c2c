"""LoRA: linear layers learn a low-rank update beside frozen kernels, W + (alpha / r) A B (Hu et al., 2106.09685).

The factors are parameters of the layers themselves, stacked as their kernels are: scan, remat, sampler, sharding and
checkpoints see nothing new.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jaxerm.models.qwen3_vl.layers import Linear

TEXT_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
VISION_LINEARS = ("qkv", "proj", "fc1", "fc2")


def is_lora(path: Sequence[object], _: object = None) -> bool:
    """Whether the parameter at `path` is a factor of an update; an NNX filter."""
    return any(str(key) in ("lora_a", "lora_b") for key in path)


def _linears(model: nnx.Module) -> Iterator[tuple[str, Linear]]:
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Linear):
            yield ".".join(map(str, path)), module


def add_lora(
    model: nnx.Module, rank: int, alpha: float, names: Sequence[str] = TEXT_LINEARS, *, seed: int = 0
) -> nnx.Module:
    """Gives linear layers an update that is zero at first; the model is changed, and returned.

    Args:
      model: has linear layers, possibly stacked: kernels [..., in, out].
      rank: r.
      alpha: the update is alpha / r times A B.
      names: last part of the paths of the layers that get one.
      seed: of A, uniform in +-1 / sqrt(in); B is zero. Both are float32 whatever the kernel is.

    Raises:
      ValueError: no layer has one of the names.
    """
    key, found = jax.random.key(seed), 0
    for path, layer in _linears(model):
        if path.rsplit(".", 1)[-1] not in names:
            continue
        found += 1
        *stack, n_in, n_out = layer.kernel.shape
        bound = n_in**-0.5
        own = jax.random.fold_in(key, zlib.crc32(path.encode()) & 0x7FFFFFFF)
        layer.lora_a = nnx.Param(jax.random.uniform(own, (*stack, n_in, rank), jnp.float32, -bound, bound))
        layer.lora_b = nnx.Param(jnp.zeros((*stack, rank, n_out), jnp.float32))
        layer.lora_scale = alpha / rank
    if not found:
        raise ValueError(f"no linear layer is called {', '.join(names)}")
    return model


def merge_lora(model: nnx.Module) -> nnx.Module:
    """The model with each update added to its kernel, in float32; what other programs load. The argument is kept."""
    graphdef, params = nnx.split(model)
    # Mapped over, so that the kernels written below are variables of their own.
    merged = nnx.merge(graphdef, jax.tree.map(lambda x: x, params))
    for _, layer in _linears(merged):
        if layer.lora_a is None:
            continue
        kernel = layer.kernel[...]
        update = jnp.matmul(layer.lora_a[...], layer.lora_b[...], precision="highest") * layer.lora_scale
        layer.kernel[...] = (kernel.astype(jnp.float32) + update).astype(kernel.dtype)
        layer.lora_a = layer.lora_b = None
        layer.lora_scale = 0.0
    return merged
