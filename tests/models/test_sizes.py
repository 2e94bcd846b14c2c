"""The released sizes have exactly as many parameters as their published weights, and every one of them has a name."""

from __future__ import annotations

import math

import pytest
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import abstract_model
from jaxerm.models.qwen3_vl.names import name_table
from jaxerm.models.qwen3_vl.sizes import SIZES, size_config

# What the hub counts in the safetensors files of Qwen/Qwen3-VL-*-Instruct.
PUBLISHED = {
    "2B": 2_127_532_032,
    "4B": 4_437_815_808,
    "8B": 8_767_123_696,
    "32B": 33_357_390_064,
    "30B-A3B": 31_070_754_032,
    "235B-A22B": 235_670_022_896,
}


@pytest.mark.parametrize("size", SIZES)
def test_a_size_has_as_many_parameters_as_were_published(size):
    config = size_config(size)
    params = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(abstract_model(config)))}
    assert sum(math.prod(leaf.shape) for leaf in params.values()) == PUBLISHED[size]
    assert {entry.path for entry in name_table(config)} == set(params)


@pytest.mark.parametrize("size", SIZES)
def test_hugging_face_reads_the_config_back_as_it_is(size):
    from transformers import AutoConfig

    config = size_config(size)
    values = config.to_hf()
    generation = {"eos_token_id": [151_645, 151_643], "pad_token_id": 151_643}
    assert Qwen3VLConfig.from_hf(values, generation) == config
    theirs = AutoConfig.for_model(**values)
    assert theirs.text_config.num_hidden_layers == config.text.num_layers
    assert theirs.text_config.rope_parameters["mrope_section"] == [24, 20, 20]
    if config.text.num_experts:
        assert (theirs.text_config.num_experts, theirs.text_config.num_experts_per_tok) == (128, 8)


def test_both_stop_tokens_of_the_released_models_are_known_and_the_end_of_turn_is_the_one_that_is_learned():
    config = size_config("8B")
    assert config.stop_token_ids == (151_645, 151_643) and config.eos_token_id == 151_645
    listed = config.to_hf()
    listed["text_config"]["eos_token_id"] = [151_645, 151_643]
    assert Qwen3VLConfig.from_hf(listed).stop_token_ids == (151_645, 151_643)
    assert Qwen3VLConfig.from_hf(config.to_hf()).stop_token_ids == (151_645,)


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="no Qwen3-VL of size '7B' was released; the sizes are 2B, 4B, 8B"):
        size_config("7B")
