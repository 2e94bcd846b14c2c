"""A small Qwen3-VL for these tests: config, names, weights and prompts, written down without the code under test.

All numbers come from `numpy.random.RandomState`, whose stream is frozen: a stored result stays comparable for ever.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from jaxerm.models.qwen3_vl.inputs import Sample

IMAGE, VIDEO, VISION_START, VISION_END, EOS, PAD = range(90, 96)
LENGTH, PATCHES = 96, 256
"""One shape for every prompt here: one compilation."""

GRIDS = {
    "two_images": ((1, 4, 10), (1, 10, 4)),
    "text": (),
    "wide": ((1, 4, 64),),
    "one_image": ((1, 8, 6),),
}
"""As many patches in both of the first, so that nothing but the numbers notices when they are swapped."""

VIDEO_GRIDS = ((1, 4, 6), (1, 4, 6))
"""Of the prompt ``video``: four frames, read in pairs."""

SPECIAL = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}


KINDS = {"tied": {"tied": True}, "untied": {"tied": False}, "moe": {"tied": False, "moe": True}}
"""The networks that are compared, as arguments of `hf_config`."""


def hf_config(
    *, tied: bool = True, moe: bool = False, vocab_size: int = 96, patch_size: int = 4, **special: int
) -> dict:
    """config.json in the form of the released files. Each size differs from its neighbours; taps leave a gap."""
    ids = {**SPECIAL, **special}
    kind, name = ("qwen3_vl_moe", "Qwen3VLMoe") if moe else ("qwen3_vl", "Qwen3VL")
    experts = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 28, "norm_topk_prob": True}
    return {
        "architectures": [f"{name}ForConditionalGeneration"],
        "model_type": kind,
        **{name: ids[name] for name in list(SPECIAL)[:4]},
        "tie_word_embeddings": tied,
        "text_config": {
            "model_type": f"{kind}_text",
            **(experts if moe else {}),
            "eos_token_id": ids["eos_token_id"],
            "pad_token_id": ids["pad_token_id"],
            "hidden_act": "silu",
            "hidden_size": 40,
            "intermediate_size": 56,
            "max_position_embeddings": 512,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "num_hidden_layers": 3,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
            "rope_theta": 100.0,
            "tie_word_embeddings": tied,
            "vocab_size": vocab_size,
        },
        "vision_config": {
            "model_type": kind,
            "deepstack_visual_indexes": [0, 2],
            "depth": 4,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 48,
            "num_heads": 2,
            "num_position_embeddings": 25,
            "out_hidden_size": 40,
            "patch_size": patch_size,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def tensor_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Every tensor of model.safetensors, as Hugging Face names and shapes it."""
    text, vision = config["text_config"], config["vision_config"]
    size, inner, depth = text["hidden_size"], text["intermediate_size"], text["head_dim"]
    heads, kv_heads = text["num_attention_heads"] * depth, text["num_key_value_heads"] * depth
    shapes = {
        "model.language_model.embed_tokens.weight": (text["vocab_size"], size),
        "model.language_model.norm.weight": (size,),
    }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (text["vocab_size"], size)
    for number in range(text["num_hidden_layers"]):
        layer = f"model.language_model.layers.{number}."
        shapes |= {
            layer + "input_layernorm.weight": (size,),
            layer + "post_attention_layernorm.weight": (size,),
            layer + "self_attn.q_proj.weight": (heads, size),
            layer + "self_attn.k_proj.weight": (kv_heads, size),
            layer + "self_attn.v_proj.weight": (kv_heads, size),
            layer + "self_attn.o_proj.weight": (size, heads),
            layer + "self_attn.q_norm.weight": (depth,),
            layer + "self_attn.k_norm.weight": (depth,),
        }
        if "num_experts" in text:
            count, wide = text["num_experts"], text["moe_intermediate_size"]
            shapes |= {
                layer + "mlp.gate.weight": (count, size),
                layer + "mlp.experts.gate_up_proj": (count, size, 2 * wide),
                layer + "mlp.experts.down_proj": (count, wide, size),
            }
        else:
            shapes |= {
                layer + "mlp.gate_proj.weight": (inner, size),
                layer + "mlp.up_proj.weight": (inner, size),
                layer + "mlp.down_proj.weight": (size, inner),
            }

    def linear(name, n_out, *n_in):
        return {f"{name}.weight": (n_out, *n_in), f"{name}.bias": (n_out,)}

    def norm(name, width):
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    width, wide, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    shapes |= linear("model.visual.patch_embed.proj", width, 3, vision["temporal_patch_size"], patch, patch)
    shapes["model.visual.pos_embed.weight"] = (vision["num_position_embeddings"], width)
    for number in range(vision["depth"]):
        block = f"model.visual.blocks.{number}."
        shapes |= norm(block + "norm1", width) | norm(block + "norm2", width)
        shapes |= linear(block + "attn.qkv", 3 * width, width) | linear(block + "attn.proj", width, width)
        shapes |= linear(block + "mlp.linear_fc1", wide, width) | linear(block + "mlp.linear_fc2", width, wide)
    joined = width * vision["spatial_merge_size"] ** 2
    mergers = {"model.visual.merger": width}
    mergers |= {
        f"model.visual.deepstack_merger_list.{number}": joined
        for number in range(len(vision["deepstack_visual_indexes"]))
    }
    for merger, normed in mergers.items():
        shapes |= norm(f"{merger}.norm", normed)
        shapes |= linear(f"{merger}.linear_fc1", joined, joined)
        shapes |= linear(f"{merger}.linear_fc2", vision["out_hidden_size"], joined)
    return shapes


def tensors(config: dict) -> dict[str, np.ndarray]:
    """Weights under which every part matters: no norm is one, no bias zero, queries and keys are far from flat."""
    out = {}
    for name, shape in tensor_shapes(config).items():
        draw = np.random.RandomState(zlib.crc32(name.encode())).uniform
        if name.endswith("bias"):
            value = draw(-0.5, 0.5, shape)
        elif len(shape) == 1:
            value = draw(0.4, 1.8, shape)
        elif "embed_tokens" in name or "pos_embed" in name:
            value = draw(-1.0, 1.0, shape)
        elif "experts" in name:
            value = draw(-1.5, 1.5, shape) / np.sqrt(shape[1])
        else:
            value = draw(-1.5, 1.5, shape) / np.sqrt(np.prod(shape[1:]))
        out[name] = value.astype(np.float32)
    return out


def checksum(values: dict[str, np.ndarray]) -> int:
    """Says whether two sets of tensors are the same, bit by bit."""
    total = 0
    for name in sorted(values):
        total = zlib.crc32(np.ascontiguousarray(values[name]).tobytes(), total)
    return total


def write_directory(directory: Path, config: dict) -> Path:
    """config.json and model.safetensors."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    save_file(tensors(config), directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def prompt(name: str) -> Sample:
    """Text, each image between its marks, and text behind."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    grids, pad = (VIDEO_GRIDS, VIDEO) if name == "video" else (GRIDS[name], IMAGE)
    tokens = list(random.randint(0, 90, 7 if grids else 23))
    for _, height, width in grids:
        tokens += [VISION_START, *[pad] * (height * width // 4), VISION_END, *random.randint(0, 90, 5)]
    patches = random.uniform(-1, 1, (sum(h * w for _, h, w in grids), 3 * 2 * 4 * 4))
    return Sample(np.asarray(tokens, np.int32), patches.astype(np.float32), grids)


def prompts() -> list[Sample]:
    return [prompt(name) for name in GRIDS]
