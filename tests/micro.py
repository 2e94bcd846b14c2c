"""A model small enough to train in a test: every part of Qwen3-VL, one DeepStack tap, two text layers."""

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig, TextConfig, VisionConfig
from jaxerm.models.tiny import make_tiny

TEXTS = [
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">\n<circle cx="12" cy="32" r="7" fill="red"/>\n</svg>',
    '{"structure_error_count":0,"shape_error_count":1,"style_error_count":0,"text_symbol_error_count":0,"errors":[',
    "system user assistant svg: judge the attempt write the code revise top left bottom right center",
] * 20


def micro_config(vocab_size: int, special: dict[str, int]) -> Qwen3VLConfig:
    return Qwen3VLConfig(
        vision=VisionConfig(
            depth=2,
            hidden_size=24,
            intermediate_size=32,
            num_heads=2,
            out_hidden_size=32,
            patch_size=8,
            spatial_merge_size=2,
            temporal_patch_size=2,
            num_position_embeddings=16,
            deepstack_layers=(0,),
        ),
        text=TextConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            intermediate_size=48,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=16,
            mrope_section=(4, 2, 2),
            rope_theta=10_000.0,
        ),
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        eos_token_id=special["<|im_end|>"],
        pad_token_id=special["<|endoftext|>"],
        tie_word_embeddings=True,
    )


def make_micro(directory):
    """Writes the model directory and returns it."""
    make_tiny(directory, TEXTS, vocab_size=360, configure=micro_config)
    return directory
