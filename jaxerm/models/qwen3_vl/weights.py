"""Names of the weights, here and at Hugging Face; reading and writing safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.flax import save_file

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import Qwen3VL, abstract_model

_SAME, _LINEAR, _CONV, _GATE_UP = "same", "linear", "conv", "gate_up"

# Ours on the left, Hugging Face's on the right. A linear kernel is stored transposed there; the patch embedding is a
# convolution there and a matmul over the flattened patch here. Experts are not transposed in the released files, but
# gate and up stand side by side: [expert, in, gate | up] there, [gate / up, expert, in, out] here.
_GLOBAL = [
    ("embed", "model.language_model.embed_tokens.weight", _SAME),
    ("lm_head.kernel", "lm_head.weight", _LINEAR),
    ("decoder.norm.weight", "model.language_model.norm.weight", _SAME),
    ("visual.patch_embed.kernel", "model.visual.patch_embed.proj.weight", _CONV),
    ("visual.patch_embed.bias", "model.visual.patch_embed.proj.bias", _SAME),
    ("visual.pos_embed", "model.visual.pos_embed.weight", _SAME),
]
_ATTENTION = [
    ("input_norm.weight", "input_layernorm.weight", _SAME),
    ("q_proj.kernel", "self_attn.q_proj.weight", _LINEAR),
    ("k_proj.kernel", "self_attn.k_proj.weight", _LINEAR),
    ("v_proj.kernel", "self_attn.v_proj.weight", _LINEAR),
    ("o_proj.kernel", "self_attn.o_proj.weight", _LINEAR),
    ("q_norm.weight", "self_attn.q_norm.weight", _SAME),
    ("k_norm.weight", "self_attn.k_norm.weight", _SAME),
    ("post_attention_norm.weight", "post_attention_layernorm.weight", _SAME),
]
_DENSE_LAYER = [
    *_ATTENTION,
    ("gate_proj.kernel", "mlp.gate_proj.weight", _LINEAR),
    ("up_proj.kernel", "mlp.up_proj.weight", _LINEAR),
    ("down_proj.kernel", "mlp.down_proj.weight", _LINEAR),
]
_MOE_LAYER = [
    *_ATTENTION,
    ("experts.router.kernel", "mlp.gate.weight", _LINEAR),
    ("experts.gate_up_kernel", "mlp.experts.gate_up_proj", _GATE_UP),
    ("experts.down_kernel", "mlp.experts.down_proj", _SAME),
]
_VISION_BLOCK = [
    ("norm1.scale", "norm1.weight", _SAME),
    ("norm1.bias", "norm1.bias", _SAME),
    ("qkv.kernel", "attn.qkv.weight", _LINEAR),
    ("qkv.bias", "attn.qkv.bias", _SAME),
    ("proj.kernel", "attn.proj.weight", _LINEAR),
    ("proj.bias", "attn.proj.bias", _SAME),
    ("norm2.scale", "norm2.weight", _SAME),
    ("norm2.bias", "norm2.bias", _SAME),
    ("fc1.kernel", "mlp.linear_fc1.weight", _LINEAR),
    ("fc1.bias", "mlp.linear_fc1.bias", _SAME),
    ("fc2.kernel", "mlp.linear_fc2.weight", _LINEAR),
    ("fc2.bias", "mlp.linear_fc2.bias", _SAME),
]
_MERGER = [
    ("norm.scale", "norm.weight", _SAME),
    ("norm.bias", "norm.bias", _SAME),
    ("fc1.kernel", "linear_fc1.weight", _LINEAR),
    ("fc1.bias", "linear_fc1.bias", _SAME),
    ("fc2.kernel", "linear_fc2.weight", _LINEAR),
    ("fc2.bias", "linear_fc2.bias", _SAME),
]


@dataclass(frozen=True)
class Entry:
    """One parameter here and the tensors it is made of there.

    Attributes:
      path: dotted path of our parameter.
      names: one name, or one a layer when `stacked`.
      form: how the two differ.
      stacked: whether the parameter has a leading layer axis.
    """

    path: str
    names: tuple[str, ...]
    form: str
    stacked: bool


def name_table(config: Qwen3VLConfig) -> list[Entry]:
    """Every parameter of a model of this config, with its Hugging Face names."""
    taps = len(config.vision.deepstack_layers)
    layer = _MOE_LAYER if config.text.num_experts else _DENSE_LAYER
    stacks: list[tuple[str, str, range, list]] = []
    if taps:
        stacks.append(("decoder.early", "model.language_model.layers.{}", range(taps), layer))
    if config.text.num_layers > taps:
        late = range(taps, config.text.num_layers)
        stacks.append(("decoder.late", "model.language_model.layers.{}", late, layer))
    start = 0
    for number, end in enumerate([*(index + 1 for index in config.vision.deepstack_layers), config.vision.depth]):
        if end > start:
            stacks.append((f"visual.stages.{number}", "model.visual.blocks.{}", range(start, end), _VISION_BLOCK))
        start = end
    entries = [Entry(ours, (theirs,), form, False) for ours, theirs, form in _GLOBAL]
    if config.tie_word_embeddings:
        entries = [entry for entry in entries if entry.path != "lm_head.kernel"]
    for prefix, pattern, layers, names in stacks:
        for ours, theirs, form in names:
            full = tuple(f"{pattern.format(i)}.{theirs}" for i in layers)
            entries.append(Entry(f"{prefix}.{ours}", full, form, True))
    for prefix, pattern in [("visual.merger", "model.visual.merger")] + [
        (f"visual.deepstack_mergers.{i}", f"model.visual.deepstack_merger_list.{i}") for i in range(taps)
    ]:
        entries += [Entry(f"{prefix}.{ours}", (f"{pattern}.{theirs}",), form, False) for ours, theirs, form in _MERGER]
    return entries


def _to_ours(tensor: np.ndarray, form: str) -> np.ndarray:
    if form == _LINEAR:
        return tensor.T
    if form == _CONV:
        return tensor.reshape(tensor.shape[0], -1).T
    if form == _GATE_UP:
        return tensor.reshape(*tensor.shape[:2], 2, -1).transpose(2, 0, 1, 3)
    return tensor


def _their_shape(shape: tuple[int, ...], form: str, config: Qwen3VLConfig) -> tuple[int, ...]:
    if form == _LINEAR:
        return shape[::-1]
    if form == _CONV:
        vision = config.vision
        return (shape[1], vision.in_channels, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
    if form == _GATE_UP:
        return (*shape[1:3], 2 * shape[3])
    return shape


def _to_theirs(array: np.ndarray, form: str, config: Qwen3VLConfig) -> np.ndarray:
    if form == _SAME:
        return array
    turned = array.transpose(1, 2, 0, 3) if form == _GATE_UP else array.T
    return turned.reshape(_their_shape(array.shape, form, config))


def flat_params(model_or_state: Any) -> dict[str, Any]:
    """Parameters by dotted path: ``{"decoder.early.q_proj.kernel": array, ...}``."""
    state = nnx.state(model_or_state, nnx.Param) if isinstance(model_or_state, nnx.Module) else model_or_state
    return {".".join(map(str, path)): value[...] for path, value in nnx.to_flat_state(state)}


class _Shards:
    """Random access to the tensors of a directory, whether in one file or behind an index."""

    def __init__(self, directory: Path):
        index = directory / "model.safetensors.index.json"
        if index.exists():
            try:
                self.where = json.loads(index.read_text())["weight_map"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{index} is not an index of shards: {error!r}") from None
        elif (directory / "model.safetensors").exists():
            self.where = None
        else:
            raise FileNotFoundError(f"{directory} holds neither model.safetensors nor model.safetensors.index.json")
        self.directory = directory
        self.files: dict[str, Any] = {}

    def _file(self, name: str):
        if name not in self.files:
            path = self.directory / name
            if not path.exists():
                raise FileNotFoundError(f"{path} is named in the index and is not there")
            try:
                self.files[name] = safe_open(path, framework="flax")
            except SafetensorError as error:
                raise ValueError(f"{path} is not a readable safetensors file: {error}") from None
        return self.files[name]

    def names(self) -> set[str]:
        return set(self.where) if self.where is not None else set(self._file("model.safetensors").keys())

    def __getitem__(self, name: str) -> np.ndarray:
        file = "model.safetensors" if self.where is None else self.where[name]
        try:
            return np.asarray(self._file(file).get_tensor(name))
        except SafetensorError as error:
            raise ValueError(f"{self.directory / file} cannot give the tensor {name}: {error}") from None


def load_weights(
    directory: str | Path,
    config: Qwen3VLConfig,
    *,
    dtype=jnp.float32,
    param_dtype=jnp.float32,
    place: Callable[[str, np.ndarray], jax.Array] | None = None,
) -> Qwen3VL:
    """Reads a Hugging Face directory into a model.

    Args:
      directory: holds model.safetensors, or shards and their index.
      config: of the same directory.
      dtype: of the computation.
      param_dtype: what the parameters are cast to.
      place: puts a host array on devices, given its path; the default device otherwise.

    Raises:
      FileNotFoundError: no weights there.
      ValueError: a tensor that is missing, has another shape, or belongs to nothing.
    """
    directory = Path(directory)
    shards = _Shards(directory)
    model = abstract_model(config, dtype=dtype, param_dtype=param_dtype)
    graphdef, state = nnx.split(model)
    wanted = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}
    left = shards.names()
    loaded = {}
    for entry in name_table(config):
        missing = [name for name in entry.names if name not in left]
        if missing:
            raise ValueError(
                f"{directory} lacks the tensor {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1))
            )
        left -= set(entry.names)
        shape = wanted[entry.path].shape
        shape = _their_shape(shape[1:] if entry.stacked else shape, entry.form, config)
        parts = []
        for name in entry.names:
            tensor = shards[name]
            if tensor.shape != shape:
                raise ValueError(f"{directory}: {name} has the shape {tensor.shape}; config.json says {shape}")
            parts.append(_to_ours(tensor, entry.form))
        value = (np.stack(parts) if entry.stacked else parts[0]).astype(param_dtype)
        loaded[entry.path] = jnp.asarray(value) if place is None else place(entry.path, value)
    # Some exporters write the tied head as well.
    left -= {"lm_head.weight"} if config.tie_word_embeddings else set()
    if left:
        raise ValueError(f"{directory} holds {len(left)} tensors this model has no place for, such as {min(left)}")
    state = nnx.from_flat_state(
        [(path, leaf.replace(loaded[".".join(map(str, path))])) for path, leaf in nnx.to_flat_state(state)]
    )
    return nnx.merge(graphdef, state)


def hf_tensors(model: Qwen3VL, dtype=None) -> Iterator[tuple[str, np.ndarray]]:
    """Yields every tensor under its Hugging Face name, in the layout written there."""
    params = flat_params(model)
    for entry in name_table(model.config):
        value = np.asarray(params[entry.path])
        if dtype is not None:
            value = value.astype(dtype)
        for name, part in zip(entry.names, value if entry.stacked else [value], strict=True):
            yield name, np.ascontiguousarray(_to_theirs(part, entry.form, model.config))


def save_weights(directory: str | Path, model: Qwen3VL, dtype=jnp.bfloat16) -> None:
    """Writes model.safetensors and config.json, as Hugging Face's `from_pretrained` reads them."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: jnp.asarray(value) for name, value in hf_tensors(model, dtype)}
    path = directory / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the writer makes it readable by its owner alone
    config = model.config.to_hf(jnp.dtype(dtype).name)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
