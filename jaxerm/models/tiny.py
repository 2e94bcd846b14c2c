"""Makes the tiny model: the architecture of Qwen3-VL, a tokenizer of its own, smaller patches, fresh weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import jax.numpy as jnp
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig, TextConfig, VisionConfig
from jaxerm.models.qwen3_vl.model import Qwen3VL
from jaxerm.models.qwen3_vl.weights import save_weights

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Those of Qwen that a prompt with pictures uses; they stand behind the learned vocabulary, as Qwen's do."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>
{%- else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def tiny_config(vocab_size: int, special: dict[str, int]) -> Qwen3VLConfig:
    """About two million parameters: 4 + 4 layers, DeepStack from the first three vision blocks, 8-pixel patches."""
    return Qwen3VLConfig(
        vision=VisionConfig(
            depth=4,
            hidden_size=96,
            intermediate_size=256,
            num_heads=3,
            out_hidden_size=128,
            patch_size=8,
            spatial_merge_size=2,
            temporal_patch_size=2,
            num_position_embeddings=64,
            deepstack_layers=(0, 1, 2),
        ),
        text=TextConfig(
            vocab_size=vocab_size,
            hidden_size=128,
            intermediate_size=384,
            num_layers=4,
            num_heads=4,
            num_kv_heads=2,
            head_dim=32,
            mrope_section=(6, 5, 5),
            rope_theta=10_000.0,
            max_position_embeddings=4096,
        ),
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        eos_token_id=special["<|im_end|>"],
        pad_token_id=special["<|endoftext|>"],
        tie_word_embeddings=True,
    )


def train_tokenizer(texts: Iterable[str], vocab_size: int, directory: str | Path):
    """Trains a byte-level BPE in the form of Qwen2's tokenizer and saves it with the chat template.

    Args:
      texts: what it is trained on.
      vocab_size: without the special tokens.
      directory: where tokenizer.json, tokenizer_config.json and chat_template.jinja go.

    Returns:
      The `Qwen2Tokenizer`.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    base = Qwen2Tokenizer()
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    # Qwen's own splitting, so that the tokenizer is one Hugging Face rebuilds from vocabulary and merges alone.
    core.pre_tokenizer = base.backend_tokenizer.pre_tokenizer
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    model = json.loads(core.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL_TOKENS),
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(directory)
    return tokenizer


def make_tiny(
    directory: str | Path,
    texts: Iterable[str],
    *,
    vocab_size: int = 1000,
    seed: int = 0,
    configure: Callable[[int, dict[str, int]], Qwen3VLConfig] = tiny_config,
) -> None:
    """Writes a complete, untrained model directory in Hugging Face layout.

    Args:
      directory: where to.
      texts: what the tokenizer is trained on.
      vocab_size: of the tokenizer, without special tokens.
      seed: of the weights.
      configure: (size of the whole vocabulary, ids of the special tokens) -> sizes of the model.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(texts, vocab_size, directory)
    special = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    config = configure(len(tokenizer), special)
    save_weights(directory, Qwen3VL(config, rngs=nnx.Rngs(seed)), dtype=jnp.float32)
    vision = config.vision
    settings = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
        # 64 x 64 pixels as they are (64 patches, 16 tokens); whatever is larger is shrunk to at most as many. A smaller
        # image that is not square is enlarged, its sides rounded up: up to about 100 patches.
        "size": {"shortest_edge": 64 * 64, "longest_edge": 64 * 64},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    generation = {"eos_token_id": config.eos_token_id, "pad_token_id": config.pad_token_id, "do_sample": False}
    (directory / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
