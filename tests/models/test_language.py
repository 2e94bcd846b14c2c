"""A tiny directory opens here and at Hugging Face, and both read, look and answer alike."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxerm.models.language import load
from jaxerm.models.sampler import forbidden_tokens
from tests.models.harness import picture, question


@pytest.fixture(scope="module")
def tiny(tiny_directory):
    return load(tiny_directory)


@pytest.fixture(scope="module")
def messages():
    return [
        {"role": "system", "content": "You compare pictures."},
        *question("What differs? <rect fill='red'/> <|im_start|>", picture(0, 64, 64), picture(1, 130, 50)),
        {"role": "assistant", "content": "The width: ünï 図形 \n"},
        *question("And here?", picture(2, 40, 90)),
    ]


def test_tokens_pixels_and_grids_are_those_of_hugging_face(tiny, tiny_directory, messages):
    from transformers import AutoConfig, AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = AutoTokenizer.from_pretrained(tiny_directory)
    images = Qwen2VLImageProcessorPil.from_pretrained(tiny_directory)
    pictures = [part["image"] for m in messages if isinstance(m["content"], list) for part in m["content"][:-1]]
    values = images(images=pictures, return_tensors="np")
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    for _, h, w in values["image_grid_thw"]:
        text = text.replace("<|image_pad|>", "<placeholder>" * (h * w // 4), 1)
    ids = tokenizer(text.replace("<placeholder>", "<|image_pad|>"), add_special_tokens=False)["input_ids"]

    sample = tiny.processor.sample(messages)
    assert sample.tokens.tolist() == ids
    assert [list(grid) for grid in sample.grids] == values["image_grid_thw"].tolist()
    np.testing.assert_array_equal(sample.patches, values["pixel_values"])

    config = AutoConfig.from_pretrained(tiny_directory)
    assert config.model_type == "qwen3_vl" and config.text_config.num_hidden_layers == tiny.config.text.num_layers
    assert config.text_config.rope_parameters["mrope_section"] == list(tiny.config.text.mrope_section)
    assert config.text_config.rope_parameters["rope_theta"] == tiny.config.text.rope_theta
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == config.image_token_id
    assert tokenizer.eos_token_id == config.text_config.eos_token_id == tiny.config.eos_token_id


def test_greedy_text_equals_hugging_face_live(tiny, tiny_directory):
    torch = pytest.importorskip("torch")
    from tests.models import huggingface

    asked = question("What differs?", picture(0, 64, 64), picture(1, 130, 50))
    sample = tiny.processor.sample(asked)
    model = huggingface.open_model(tiny_directory)
    inputs = huggingface.arguments(model, [sample])
    banned = np.flatnonzero(forbidden_tokens(tiny.config, tiny.processor.tokenizer)).tolist()
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=64, do_sample=False, suppress_tokens=banned)
    tokens = out[0, len(sample.tokens) :].numpy()
    theirs = tiny.processor.tokenizer.decode(tokens, skip_special_tokens=True)
    assert tiny.generate(asked, max_new_tokens=64) == theirs
    assert len(set(tokens.tolist())) > 3, "an answer that repeats itself proves little"


def test_a_saved_model_is_the_model(small, tmp_path):
    small.settings["prompts"] = "brief"
    try:
        small.save(tmp_path, jnp.float32)
    finally:
        small.settings.clear()
    again = load(tmp_path)
    assert again.config == small.config and again.settings == {"prompts": "brief"}
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == small.config.eos_token_id
    asked = question("What differs?", picture(0, 64, 64), picture(1, 130, 50))
    ours, theirs = again.processor.sample(asked), small.processor.sample(asked)
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    np.testing.assert_array_equal(ours.patches, theirs.patches)
    again.save(tmp_path / "twice", jnp.float32)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in (".", "twice"))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json", "chat_template.jinja", "jaxerm.json"):
        assert (tmp_path / file).read_text() == (tmp_path / "twice" / file).read_text()


def test_parameters_can_be_kept_in_another_dtype_than_the_computation(small_directory):
    model = load(small_directory, dtype="bfloat16", param_dtype="float32").module
    assert model.embed[...].dtype == jnp.float32
    assert model.empty_cache(1, 1).key.dtype == jnp.bfloat16
