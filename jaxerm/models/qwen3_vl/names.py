"""The table of names: every parameter here, and the tensors of Hugging Face's files it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig

SAME, LINEAR, CONV, GATE_UP = "same", "linear", "conv", "gate_up"

# Ours on the left, Hugging Face's on the right. A linear kernel is stored transposed there; the patch embedding is a
# convolution there and a matmul over the flattened patch here. Experts are not transposed in the released files, but
# gate and up stand side by side: [expert, in, gate | up] there, [gate / up, expert, in, out] here.
_GLOBAL = [
    ("embed", "model.language_model.embed_tokens.weight", SAME),
    ("lm_head.kernel", "lm_head.weight", LINEAR),
    ("decoder.norm.weight", "model.language_model.norm.weight", SAME),
    ("visual.patch_embed.kernel", "model.visual.patch_embed.proj.weight", CONV),
    ("visual.patch_embed.bias", "model.visual.patch_embed.proj.bias", SAME),
    ("visual.pos_embed", "model.visual.pos_embed.weight", SAME),
]
_ATTENTION = [
    ("input_norm.weight", "input_layernorm.weight", SAME),
    ("q_proj.kernel", "self_attn.q_proj.weight", LINEAR),
    ("k_proj.kernel", "self_attn.k_proj.weight", LINEAR),
    ("v_proj.kernel", "self_attn.v_proj.weight", LINEAR),
    ("o_proj.kernel", "self_attn.o_proj.weight", LINEAR),
    ("q_norm.weight", "self_attn.q_norm.weight", SAME),
    ("k_norm.weight", "self_attn.k_norm.weight", SAME),
    ("post_attention_norm.weight", "post_attention_layernorm.weight", SAME),
]
_DENSE_LAYER = [
    *_ATTENTION,
    ("gate_proj.kernel", "mlp.gate_proj.weight", LINEAR),
    ("up_proj.kernel", "mlp.up_proj.weight", LINEAR),
    ("down_proj.kernel", "mlp.down_proj.weight", LINEAR),
]
_MOE_LAYER = [
    *_ATTENTION,
    ("experts.router.kernel", "mlp.gate.weight", LINEAR),
    ("experts.gate_up_kernel", "mlp.experts.gate_up_proj", GATE_UP),
    ("experts.down_kernel", "mlp.experts.down_proj", SAME),
]
_VISION_BLOCK = [
    ("norm1.scale", "norm1.weight", SAME),
    ("norm1.bias", "norm1.bias", SAME),
    ("qkv.kernel", "attn.qkv.weight", LINEAR),
    ("qkv.bias", "attn.qkv.bias", SAME),
    ("proj.kernel", "attn.proj.weight", LINEAR),
    ("proj.bias", "attn.proj.bias", SAME),
    ("norm2.scale", "norm2.weight", SAME),
    ("norm2.bias", "norm2.bias", SAME),
    ("fc1.kernel", "mlp.linear_fc1.weight", LINEAR),
    ("fc1.bias", "mlp.linear_fc1.bias", SAME),
    ("fc2.kernel", "mlp.linear_fc2.weight", LINEAR),
    ("fc2.bias", "mlp.linear_fc2.bias", SAME),
]
_MERGER = [
    ("norm.scale", "norm.weight", SAME),
    ("norm.bias", "norm.bias", SAME),
    ("fc1.kernel", "linear_fc1.weight", LINEAR),
    ("fc1.bias", "linear_fc1.bias", SAME),
    ("fc2.kernel", "linear_fc2.weight", LINEAR),
    ("fc2.bias", "linear_fc2.bias", SAME),
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


def their_shape(shape: tuple[int, ...], form: str, config: Qwen3VLConfig) -> tuple[int, ...]:
    """Shape of a tensor there, from our shape of one layer."""
    if form == LINEAR:
        return shape[::-1]
    if form == CONV:
        vision = config.vision
        return (shape[1], vision.in_channels, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
    if form == GATE_UP:
        return (*shape[1:3], 2 * shape[3])
    return shape


def to_theirs(array: np.ndarray, form: str, config: Qwen3VLConfig) -> np.ndarray:
    """One layer of a parameter as the tensor that is written."""
    if form == SAME:
        return array
    turned = array.transpose(1, 2, 0, 3) if form == GATE_UP else array.T
    return turned.reshape(their_shape(array.shape, form, config))


def read_slice(tensor, form: str, index: tuple[slice, ...], width: int) -> np.ndarray:
    """The part `index` of one layer of a parameter, reading no more of the tensor than it is made of.

    Args:
      tensor: gives parts of itself for an index, as an array does.
      form: how the two differ.
      index: slices with start and stop, one for each of our axes.
      width: size of our last axis.
    """
    if form == LINEAR:
        return tensor[index[::-1]].T
    if form == CONV:  # a few megabytes, whose axes are folded
        whole = np.asarray(tensor[:])
        return whole.reshape(whole.shape[0], -1).T[index]
    if form == GATE_UP:
        half, *rows, columns = index
        starts = [which * width for which in range(half.start, half.stop)]
        return np.stack([tensor[*rows, slice(at + columns.start, at + columns.stop)] for at in starts])
    return tensor[index]
