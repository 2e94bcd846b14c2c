"""The released sizes of Qwen3-VL, by name: what is planned and measured without their files at hand.

The values are those of the public config.json files (Instruct and Thinking agree in all that is here).
"""

from __future__ import annotations

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig, TextConfig, VisionConfig

#                  hidden   MLP layers heads KV  tied   vision  experts, a token, width
_TEXT = {
    "2B": (          2048,  6144,  28,  16,  8,  True,  "small", 0,   0, 0),
    "4B": (          2560,  9728,  36,  32,  8,  True,  "small", 0,   0, 0),
    "8B": (          4096, 12288,  36,  32,  8,  False, "large", 0,   0, 0),
    "32B": (         5120, 25600,  64,  64,  8,  False, "large", 0,   0, 0),
    "30B-A3B": (     2048,  6144,  48,  32,  4,  False, "large", 128, 8, 768),
    "235B-A22B": (   4096, 12288,  94,  64,  4,  False, "large", 128, 8, 1536),
}  # fmt: skip

#               depth hidden  MLP  DeepStack taps
_VISION = {
    "small": (    24,  1024, 4096, (5, 11, 17)),
    "large": (    27,  1152, 4304, (8, 16, 24)),
}  # fmt: skip

SIZES = tuple(_TEXT)
"""Names that `size_config` knows."""


def size_config(size: str) -> Qwen3VLConfig:
    """The config of a released size, such as ``8B`` or ``30B-A3B``.

    Raises:
      ValueError: no such size.
    """
    if size not in _TEXT:
        raise ValueError(f"no Qwen3-VL of size {size!r} was released; the sizes are {', '.join(SIZES)}")
    hidden, inner, layers, heads, kv_heads, tied, tower, experts, per_token, expert_size = _TEXT[size]
    depth, vision_hidden, vision_inner, taps = _VISION[tower]
    return Qwen3VLConfig(
        vision=VisionConfig(
            depth=depth,
            hidden_size=vision_hidden,
            intermediate_size=vision_inner,
            num_heads=16,
            out_hidden_size=hidden,
            patch_size=16,
            spatial_merge_size=2,
            temporal_patch_size=2,
            num_position_embeddings=48 * 48,
            deepstack_layers=taps,
        ),
        text=TextConfig(
            vocab_size=151_936,
            hidden_size=hidden,
            intermediate_size=inner,
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_dim=128,
            mrope_section=(24, 20, 20),
            num_experts=experts,
            experts_per_token=per_token,
            expert_size=expert_size,
        ),
        image_token_id=151_655,
        video_token_id=151_656,
        vision_start_token_id=151_652,
        vision_end_token_id=151_653,
        eos_token_id=151_645,  # <|im_end|>
        pad_token_id=151_643,  # <|endoftext|>, which ends an answer too
        tie_word_embeddings=tied,
        other_stop_token_ids=(151_643,),
    )
