"""Weights in and out of Hugging Face directories: streamed into (sharded) arrays, written back byte for byte."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from jaxerm.models.attention import XLA, Kernel
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import Qwen3VL, abstract_model
from jaxerm.models.qwen3_vl.names import Entry, name_table, read_slice, their_shape, to_theirs
from jaxerm.models.sharding import param_spec, to_host
from jaxerm.models.tensor_files import TensorFiles, write_tensors


def flat_params(model_or_state: Any) -> dict[str, Any]:
    """Parameters by dotted path: ``{"decoder.early.q_proj.kernel": array, ...}``."""
    state = nnx.state(model_or_state, nnx.Param) if isinstance(model_or_state, nnx.Module) else model_or_state
    return {".".join(map(str, path)): value[...] for path, value in nnx.to_flat_state(state)}


class _Tensor:
    """One tensor of the files, checked, to be read by slices in the released layout."""

    def __init__(self, files: TensorFiles, name: str, shape: tuple[int, ...], may_be_turned: bool):
        found = files.shape(name)
        # transformers 5 writes experts [expert, out, in], turned against the released files.
        self.turned = may_be_turned and found != shape and found == (*shape[:-2], shape[-1], shape[-2])
        if found != shape and not self.turned:
            raise ValueError(f"{files.directory}: {name} has the shape {found}; config.json says {shape}")
        self.files, self.name = files, name

    def __getitem__(self, index: Any) -> np.ndarray:
        if self.turned:
            index = (*index[:-2], index[-1], index[-2])
        out = self.files.read(self.name, index)
        return out.swapaxes(-1, -2) if self.turned else out


def _part(
    tensors: list[_Tensor], entry: Entry, shape: tuple[int, ...], dtype: Any, index: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Reads the part of a parameter that lies between `index` (start and stop of each axis)."""
    out = np.empty([stop - start for start, stop in index], dtype)
    slices = tuple(slice(*ends) for ends in index)
    if not entry.stacked:
        out[...] = read_slice(tensors[0], entry.form, slices, shape[-1])
        return out
    for place, layer in enumerate(range(*index[0])):
        out[place] = read_slice(tensors[layer], entry.form, slices[1:], shape[-1])
    return out


def load_weights(
    directory: str | Path,
    config: Qwen3VLConfig,
    *,
    dtype=jnp.float32,
    param_dtype=jnp.float32,
    mesh: Mesh | None = None,
    kernel: Kernel = XLA,
) -> Qwen3VL:
    """Reads a Hugging Face directory into a model.

    Args:
      directory: holds model.safetensors, or shards and their index.
      config: of the same directory.
      dtype: of the computation.
      param_dtype: what the parameters are cast to.
      mesh: parameters are spread over it by the rules of `sharding`, and a process reads only the slices that its own
        devices hold; the default device if None.
      kernel: what computes the model's attention.

    Raises:
      FileNotFoundError: no weights there.
      ValueError: a tensor that is missing, has another shape, or belongs to nothing.
    """
    directory = Path(directory)
    files = TensorFiles(directory)
    model = abstract_model(config, dtype=dtype, param_dtype=param_dtype, kernel=kernel)
    graphdef, state = nnx.split(model)
    shapes = {".".join(map(str, path)): leaf.shape for path, leaf in nnx.to_flat_state(state)}
    left = files.names()
    opened = []
    for entry in name_table(config):
        missing = [name for name in entry.names if name not in left]
        if missing:
            raise ValueError(
                f"{directory} lacks the tensor {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1))
            )
        left -= set(entry.names)
        shape = shapes[entry.path]
        theirs = their_shape(shape[1:] if entry.stacked else shape, entry.form, config)
        expert = ".experts." in entry.path and len(theirs) == 3
        opened.append((entry, shape, [_Tensor(files, name, theirs, expert) for name in entry.names]))
    # Some exporters write the tied head as well.
    left -= {"lm_head.weight"} if config.tie_word_embeddings else set()
    if left:
        raise ValueError(f"{directory} holds {len(left)} tensors this model has no place for, such as {min(left)}")
    loaded = {}
    for entry, shape, tensors in opened:
        # Devices that hold the same part share one reading of it.
        part = functools.cache(functools.partial(_part, tensors, entry, shape, param_dtype))
        if mesh is None:
            loaded[entry.path] = jnp.asarray(part(tuple((0, size) for size in shape)))
            continue

        def give(index, part=part, shape=shape):
            return part(tuple(cut.indices(size)[:2] for cut, size in zip(index, shape, strict=True)))

        sharding = NamedSharding(mesh, param_spec(entry.path, shape, mesh))
        loaded[entry.path] = jax.make_array_from_callback(shape, sharding, give)
    state = nnx.from_flat_state(
        [(path, leaf.replace(loaded[".".join(map(str, path))])) for path, leaf in nnx.to_flat_state(state)]
    )
    return nnx.merge(graphdef, state)


def hf_tensors(model: Qwen3VL, dtype=None) -> Iterator[tuple[str, np.ndarray]]:
    """Yields every tensor under its Hugging Face name, in the layout written there; one parameter at a time is held."""
    params = flat_params(model)
    for entry in name_table(model.config):
        value = to_host(params[entry.path])
        for name, part in zip(entry.names, value if entry.stacked else [value], strict=True):
            part = part if dtype is None else part.astype(dtype)
            yield name, np.ascontiguousarray(to_theirs(part, entry.form, model.config))


def save_weights(directory: str | Path, model: Qwen3VL, dtype=jnp.bfloat16, *, shard_bytes: int = 5 * 10**9) -> None:
    """Writes weights and config.json, as Hugging Face's `from_pretrained` and vLLM read them.

    Args:
      directory: where to; weights that are there are replaced.
      model: on one device, or spread over the devices of one process or several. Each process must then call this; the
        first writes.
      dtype: of the file.
      shard_bytes: beyond this the weights go into several files behind an index.
    """
    directory = Path(directory)
    if jax.process_index():
        for _ in hf_tensors(model, dtype):
            pass
        return
    directory.mkdir(parents=True, exist_ok=True)
    params = flat_params(model)
    sizes = {
        name: math.prod(params[entry.path].shape[int(entry.stacked) :]) * jnp.dtype(dtype).itemsize
        for entry in name_table(model.config)
        for name in entry.names
    }
    write_tensors(directory, sizes, hf_tensors(model, dtype), shard_bytes)
    config = model.config.to_hf(jnp.dtype(dtype).name)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
