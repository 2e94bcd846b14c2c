"""Sizes of a Qwen3-VL, read from and written to Hugging Face's config.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower. `deepstack_layers` are the blocks after which features are tapped for the first text layers."""

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int
    patch_size: int
    spatial_merge_size: int
    temporal_patch_size: int
    num_position_embeddings: int
    deepstack_layers: tuple[int, ...]
    in_channels: int = 3
    rope_theta: float = 10_000.0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def patch_dim(self) -> int:
        """Values in one flattened patch: channels x frames x height x width."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2

    @property
    def position_side(self) -> int:
        """Side of the square table of learned positions."""
        return int(self.num_position_embeddings**0.5)


@dataclass(frozen=True)
class TextConfig:
    """The decoder.

    Attributes:
      mrope_section: rotary frequencies of time, height and width, which add to head_dim / 2.
      num_experts: of each layer's mixture; 0 for a dense model, whose MLPs are `intermediate_size` wide.
      experts_per_token: how many of them read a token.
      expert_size: width of one.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mrope_section: tuple[int, int, int]
    rope_theta: float = 5_000_000.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 262_144
    num_experts: int = 0
    experts_per_token: int = 0
    expert_size: int = 0


@dataclass(frozen=True)
class Qwen3VLConfig:
    """A whole Qwen3-VL: vision tower, decoder and the ids of its special tokens.

    Attributes:
      eos_token_id: the end of turn, behind every answer that is learned.
      other_stop_token_ids: what ends a sampled answer as well; generation_config.json names them.
    """

    vision: VisionConfig
    text: TextConfig
    image_token_id: int
    video_token_id: int
    vision_start_token_id: int
    vision_end_token_id: int
    eos_token_id: int
    pad_token_id: int
    tie_word_embeddings: bool
    other_stop_token_ids: tuple[int, ...] = ()

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Every token that ends an answer, the end of turn first."""
        return (self.eos_token_id, *self.other_stop_token_ids)

    def __post_init__(self):
        if 2 * sum(self.text.mrope_section) != self.text.head_dim:
            raise ValueError(
                f"mrope_section {self.text.mrope_section} adds to {sum(self.text.mrope_section)}; "
                f"with head_dim {self.text.head_dim} it must add to {self.text.head_dim // 2}"
            )
        if len(self.vision.deepstack_layers) > self.text.num_layers:
            raise ValueError(
                f"{len(self.vision.deepstack_layers)} DeepStack taps need as many text layers, "
                f"and there are {self.text.num_layers}"
            )
        if self.vision.out_hidden_size != self.text.hidden_size:
            raise ValueError(
                f"vision out_hidden_size {self.vision.out_hidden_size} differs from text hidden_size "
                f"{self.text.hidden_size}"
            )
        if self.text.num_experts and not 1 <= self.text.experts_per_token <= self.text.num_experts:
            raise ValueError(
                f"{self.text.experts_per_token} experts a token of {self.text.num_experts}: at least 1, at most all"
            )

    @classmethod
    def from_hf(cls, values: dict[str, Any], generation: dict[str, Any] | None = None) -> Qwen3VLConfig:
        """Builds a config from the objects in Hugging Face's config.json and generation_config.json.

        Raises:
          ValueError: another architecture, or a variant this port does not run (named).
        """
        model_type = values.get("model_type")
        if model_type not in ("qwen3_vl", "qwen3_vl_moe"):
            raise ValueError(f"model_type is {model_type!r}; this port runs 'qwen3_vl' and 'qwen3_vl_moe'")
        text, vision = values["text_config"], values["vision_config"]
        moe = model_type == "qwen3_vl_moe"
        if moe and (text.get("mlp_only_layers") or text.get("decoder_sparse_step", 1) != 1):
            raise ValueError("mlp_only_layers or decoder_sparse_step leave layers dense; no released Qwen3-VL does")
        if moe and not text.get("norm_topk_prob", True):
            raise ValueError("norm_topk_prob is false; every released Qwen3-VL norms the weights of a token's experts")
        if text.get("attention_bias"):
            raise ValueError("attention_bias is true; no released Qwen3-VL has biases in its text attention")
        # transformers 5 writes rope_parameters; the released files hold rope_theta and rope_scaling.
        rope = text.get("rope_parameters") or {**(text.get("rope_scaling") or {}), "rope_theta": text.get("rope_theta")}
        if rope.get("rope_type", "default") != "default":
            raise ValueError(f"rope_type is {rope['rope_type']!r}; this port runs 'default'")
        eos = text.get("eos_token_id", values.get("eos_token_id"))
        pad = text.get("pad_token_id", values.get("pad_token_id"))
        if eos is None:
            raise ValueError("config.json names no eos_token_id in its text_config")
        generation = generation or {}
        eos, *stops = dict.fromkeys([*_ids(eos), *_ids(generation.get("eos_token_id", []))])
        pad = generation.get("pad_token_id") if pad is None else pad
        return cls(
            vision=VisionConfig(
                depth=vision["depth"],
                hidden_size=vision["hidden_size"],
                intermediate_size=vision["intermediate_size"],
                num_heads=vision["num_heads"],
                out_hidden_size=vision["out_hidden_size"],
                patch_size=vision["patch_size"],
                spatial_merge_size=vision["spatial_merge_size"],
                temporal_patch_size=vision["temporal_patch_size"],
                num_position_embeddings=vision["num_position_embeddings"],
                deepstack_layers=tuple(vision["deepstack_visual_indexes"]),
                in_channels=vision.get("in_channels", 3),
                rope_theta=(vision.get("rope_parameters") or {}).get("rope_theta", 10_000.0),
            ),
            text=TextConfig(
                vocab_size=text["vocab_size"],
                hidden_size=text["hidden_size"],
                intermediate_size=text["intermediate_size"],
                num_layers=text["num_hidden_layers"],
                num_heads=text["num_attention_heads"],
                num_kv_heads=text["num_key_value_heads"],
                head_dim=text["head_dim"],
                mrope_section=tuple(rope.get("mrope_section", (24, 20, 20))),
                rope_theta=float(rope.get("rope_theta") or 5_000_000.0),
                rms_norm_eps=text["rms_norm_eps"],
                max_position_embeddings=text.get("max_position_embeddings", 262_144),
                num_experts=text["num_experts"] if moe else 0,
                experts_per_token=text["num_experts_per_tok"] if moe else 0,
                expert_size=text["moe_intermediate_size"] if moe else 0,
            ),
            image_token_id=values["image_token_id"],
            video_token_id=values["video_token_id"],
            vision_start_token_id=values["vision_start_token_id"],
            vision_end_token_id=values["vision_end_token_id"],
            eos_token_id=eos,
            pad_token_id=eos if pad is None else pad,
            # The top level decides; the released text_config repeats it.
            tie_word_embeddings=values.get("tie_word_embeddings", text.get("tie_word_embeddings", False)),
            other_stop_token_ids=tuple(stops),
        )

    def to_hf(self, dtype: str = "bfloat16") -> dict[str, Any]:
        """The object of config.json, in the form of the released files (transformers 4.57 and 5 read it)."""
        vision, text = self.vision, self.text
        kind, name = ("qwen3_vl_moe", "Qwen3VLMoe") if text.num_experts else ("qwen3_vl", "Qwen3VL")
        experts = {
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "moe_intermediate_size": text.expert_size,
            "norm_topk_prob": True,
            "num_experts": text.num_experts,
            "num_experts_per_tok": text.experts_per_token,
        }
        return {
            "architectures": [f"{name}ForConditionalGeneration"],
            "model_type": kind,
            "dtype": dtype,
            "image_token_id": self.image_token_id,
            "video_token_id": self.video_token_id,
            "vision_start_token_id": self.vision_start_token_id,
            "vision_end_token_id": self.vision_end_token_id,
            "tie_word_embeddings": self.tie_word_embeddings,
            "text_config": {
                "model_type": f"{kind}_text",
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": self.pad_token_id,
                "eos_token_id": self.eos_token_id,
                "pad_token_id": self.pad_token_id,
                "head_dim": text.head_dim,
                "hidden_act": "silu",
                "hidden_size": text.hidden_size,
                "initializer_range": 0.02,
                "intermediate_size": text.intermediate_size,
                "max_position_embeddings": text.max_position_embeddings,
                "num_attention_heads": text.num_heads,
                "num_hidden_layers": text.num_layers,
                "num_key_value_heads": text.num_kv_heads,
                "rms_norm_eps": text.rms_norm_eps,
                "rope_scaling": {
                    "mrope_interleaved": True,
                    "mrope_section": list(text.mrope_section),
                    "rope_type": "default",
                },
                "rope_theta": text.rope_theta,
                "tie_word_embeddings": self.tie_word_embeddings,
                "use_cache": True,
                "vocab_size": text.vocab_size,
                **(experts if text.num_experts else {}),
            },
            "vision_config": {
                "model_type": kind,
                "deepstack_visual_indexes": list(vision.deepstack_layers),
                "depth": vision.depth,
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": vision.hidden_size,
                "in_channels": vision.in_channels,
                "initializer_range": 0.02,
                "intermediate_size": vision.intermediate_size,
                "num_heads": vision.num_heads,
                "num_position_embeddings": vision.num_position_embeddings,
                "out_hidden_size": vision.out_hidden_size,
                "patch_size": vision.patch_size,
                "spatial_merge_size": vision.spatial_merge_size,
                "temporal_patch_size": vision.temporal_patch_size,
            },
        }

    @classmethod
    def load(cls, directory: str | Path) -> Qwen3VLConfig:
        """Reads ``config.json`` of a model directory, and its ``generation_config.json`` if there is one."""
        generation = Path(directory) / "generation_config.json"
        return cls.from_hf(
            json.loads((Path(directory) / "config.json").read_text()),
            json.loads(generation.read_text()) if generation.is_file() else None,
        )


def _ids(value: int | list[int]) -> list[int]:
    """Hugging Face allows one id or a list."""
    return [value] if isinstance(value, int) else list(value)
