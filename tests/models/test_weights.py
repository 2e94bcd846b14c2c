"""Weights survive a round trip bit by bit, and a directory that is not whole says what is wrong with it."""

from __future__ import annotations

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxerm.models.language import load
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.weights import hf_tensors, load_weights, save_weights
from tests.models import reference

UP = "model.language_model.layers.2.mlp.up_proj.weight"
PATCH = "model.visual.patch_embed.proj.weight"


def read(directory):
    return load_weights(directory, Qwen3VLConfig.load(directory))


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype and ours[name].tobytes() == value.tobytes(), name


def test_saving_what_was_loaded_gives_the_same_tensors(either_directory, tmp_path):
    _, directory = either_directory
    save_weights(tmp_path / "once", read(directory), jnp.float32)
    save_weights(tmp_path / "twice", read(tmp_path / "once"), jnp.float32)
    original = load_file(directory / "model.safetensors")
    same(load_file(tmp_path / "once/model.safetensors"), original)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice"))
    assert first == second
    assert Qwen3VLConfig.load(tmp_path / "twice") == Qwen3VLConfig.load(directory)


def test_bfloat16_files_hold_the_rounded_weights(reference_directory, tmp_path):
    save_weights(tmp_path, read(reference_directory), jnp.bfloat16)
    original = load_file(reference_directory / "model.safetensors")
    for name, value in hf_tensors(read(tmp_path)):
        np.testing.assert_array_equal(value, original[name].astype(jnp.bfloat16).astype(np.float32), err_msg=name)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.fixture
def shards(reference_directory, tmp_path):
    """The reference in two files and an index."""
    values = load_file(reference_directory / "model.safetensors")
    where = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(sorted(values))}
    for file in set(where.values()):
        save_file({name: value for name, value in values.items() if where[name] == file}, tmp_path / file)
    shutil.copy(reference_directory / "config.json", tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return tmp_path


def test_shards_are_read_through_their_index(shards, reference_directory):
    same(dict(hf_tensors(read(shards))), dict(hf_tensors(read(reference_directory))))


def test_a_shard_that_is_not_there_is_named(shards):
    (shards / "part-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"part-1\.safetensors is named in the index and is not there"):
        read(shards)


def test_a_shard_without_a_tensor_of_the_index_is_named(shards):
    values = load_file(shards / "part-0.safetensors")
    gone = min(values)
    save_file({name: value for name, value in values.items() if name != gone}, shards / "part-0.safetensors")
    with pytest.raises(ValueError, match=rf"part-0\.safetensors cannot give the tensor {gone}"):
        read(shards)


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_broken_index_is_named(shards, text):
    (shards / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json is not an index of shards"):
        read(shards)


def tampered(source, target, change):
    if source != target:
        shutil.copytree(source, target, dirs_exist_ok=True)
    values = load_file(target / "model.safetensors")
    change(values)
    save_file(values, target / "model.safetensors")
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(UP), f"lacks the tensor {UP}$"),
        (lambda t: (t.pop(UP), t.pop(PATCH)), f"lacks the tensor {PATCH}$"),
        (lambda t: t.update({UP: t[UP][:-1].copy()}), rf"{UP} has the shape \(55, 40\); config.json says \(56, 40\)"),
        # as many numbers as there should be, so that only the shape tells
        (
            lambda t: t.update({PATCH: t[PATCH].reshape(32, 3, 2, 2, 8)}),
            rf"{PATCH} has the shape \(32, 3, 2, 2, 8\); config.json says \(32, 3, 2, 4, 4\)",
        ),
        (lambda t: t.update({UP: t[UP].T.copy()}), rf"{UP} has the shape \(40, 56\)"),
        (lambda t: t.update(foo=np.zeros(1)), "1 tensors this model has no place for, such as foo"),
    ],
    ids=["missing", "two_missing", "short", "reshaped", "transposed", "extra"],
)
def test_a_wrong_tensor_is_named_in_one_line(reference_directory, tmp_path, change, message):
    tampered(reference_directory, tmp_path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_tied_model_accepts_a_copy_of_its_head_and_an_untied_one_needs_it(reference_directory, tmp_path):
    embed = "model.language_model.embed_tokens.weight"
    read(tampered(reference_directory, tmp_path, lambda t: t.update({"lm_head.weight": t[embed]})))
    untied = reference.write_directory(tmp_path / "untied", reference.hf_config(tied=False))
    tampered(untied, untied, lambda t: t.pop("lm_head.weight"))
    with pytest.raises(ValueError, match="lacks the tensor lm_head.weight"):
        read(untied)


@pytest.mark.parametrize("kept", [0, 100, 60_000])
def test_a_truncated_file_is_named(reference_directory, tmp_path, kept):
    shutil.copytree(reference_directory, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a readable safetensors file") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", "is no model directory: it has no config.json"),
        ("model.safetensors", "holds neither model.safetensors nor model.safetensors.index.json"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_missing_file_is_named(small_directory, tmp_path, file, message):
    shutil.copytree(small_directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load(tmp_path)


def edited(source, target, file, change):
    shutil.copytree(source, target, dirs_exist_ok=True)
    values = json.loads((target / file).read_text())
    change(values)
    (target / file).write_text(json.dumps(values))
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(model_type="llama"), "model_type is 'llama'; this port runs 'qwen3_vl'"),
        (lambda c: c["text_config"].pop("head_dim"), "config.json is not a Qwen3-VL config: KeyError"),
        (lambda c: c["text_config"].update(attention_bias=True), "attention_bias is true"),
        (lambda c: c["text_config"]["rope_scaling"].update(rope_type="yarn"), "rope_type is 'yarn'"),
        (lambda c: c["text_config"]["rope_scaling"].update(mrope_section=[4, 2, 1]), "it must add to 8"),
        (lambda c: c["text_config"].pop("eos_token_id"), "no eos_token_id"),
        (lambda c: c["vision_config"].update(out_hidden_size=41), "out_hidden_size 41 differs"),
        (lambda c: c["vision_config"].update(deepstack_visual_indexes=[0, 1, 2, 3]), "4 DeepStack taps"),
    ],
)
def test_a_config_this_port_cannot_run_is_refused_before_any_weight_is_read(
    reference_directory, tmp_path, change, message
):
    with pytest.raises(ValueError, match=message):
        load(edited(reference_directory, tmp_path, "config.json", change))


def test_a_preprocessor_that_contradicts_the_config_is_refused(small_directory, tmp_path):
    edited(small_directory, tmp_path, "preprocessor_config.json", lambda c: c.update(patch_size=16))
    with pytest.raises(ValueError, match=r"says patch_size 16; config.json says 8"):
        load(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessor_config.json is not JSON"):
        load(tmp_path)
