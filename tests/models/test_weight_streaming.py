"""Weights stream into sharded arrays slice by slice, go out in shards, and come back bit by bit."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxerm.models.hub import model_directory
from jaxerm.models.language import load
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.weights import flat_params, load_weights, save_weights
from jaxerm.models.sharding import make_mesh, param_spec
from jaxerm.models.tensor_files import TensorFiles
from tests.models import reference

INDEX = "model.safetensors.index.json"


def read(directory, **how):
    return load_weights(directory, Qwen3VLConfig.load(directory), **how)


@pytest.mark.parametrize("shape", [{"fsdp": 2, "tensor": 2}, {"data": 2, "tensor": 2}], ids=lambda s: "_".join(s))
def test_a_mesh_gets_the_same_numbers_where_the_rules_put_them(either_directory, shape):
    _, directory = either_directory
    mesh = make_mesh(shape)
    whole, spread = flat_params(read(directory)), flat_params(read(directory, mesh=mesh))
    for path, value in spread.items():
        assert value.sharding.spec == param_spec(path, value.shape, mesh), path
        np.testing.assert_array_equal(value, whole[path], err_msg=path)


def test_each_part_is_read_once_and_no_more_than_the_parts(reference_directory, monkeypatch):
    seen = []
    right = TensorFiles.read

    def recorded(self, name, index):
        out = right(self, name, index)
        seen.append((name, out.size))
        return out

    monkeypatch.setattr(TensorFiles, "read", recorded)
    sizes = {name: value.size for name, value in load_file(reference_directory / "model.safetensors").items()}
    for shape in ({"tensor": 4}, {"data": 4}):
        seen.clear()
        read(reference_directory, mesh=make_mesh(shape))
        totals = dict.fromkeys(sizes, 0)
        for name, size in seen:
            totals[name] += size
        folded = "model.visual.patch_embed.proj.weight"
        assert {name: total for name, total in totals.items() if name != folded} == {
            name: size for name, size in sizes.items() if name != folded
        }
    read(reference_directory, mesh=make_mesh({"tensor": 4}))
    quarter = [size for name, size in seen if name.endswith("layers.0.mlp.up_proj.weight")]
    assert quarter[-1] == sizes["model.language_model.layers.0.mlp.up_proj.weight"] // 4


@pytest.mark.parametrize("kind", reference.KINDS)
def test_shards_hold_the_same_bytes_and_hugging_face_opens_them(kind, tmp_path):
    source = reference.write_directory(tmp_path / "source", reference.hf_config(**reference.KINDS[kind]))
    model = read(source, mesh=make_mesh({"fsdp": 2, "tensor": 2}))
    save_weights(tmp_path / "out", model, jnp.float32, shard_bytes=40_000)
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 3 and files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    original, out = load_file(source / "model.safetensors"), {}
    for file in files:
        part = load_file(tmp_path / "out" / file)
        assert all(index["weight_map"][name] == file for name in part)
        assert len(part) == 1 or sum(value.nbytes for value in part.values()) <= 40_000
        out |= part
    assert set(out) == set(original)
    assert all(out[name].tobytes() == value.tobytes() for name, value in original.items())
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in original.values())
    back = flat_params(read(tmp_path / "out"))
    for path, value in flat_params(model).items():
        np.testing.assert_array_equal(back[path], value)
    if find_spec("torch"):
        from tests.models import huggingface

        huggingface.open_model(tmp_path / "out")


def test_bfloat16_files_come_back_bit_by_bit(reference_directory, tmp_path):
    save_weights(tmp_path / "once", read(reference_directory), jnp.bfloat16)
    save_weights(tmp_path / "twice", read(tmp_path / "once", param_dtype=jnp.bfloat16), jnp.bfloat16)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice"))
    assert first == second


def test_writing_anew_leaves_nothing_of_the_earlier_weights(reference_directory, tmp_path):
    model = read(reference_directory)
    save_weights(tmp_path, model, jnp.float32, shard_bytes=40_000)
    save_weights(tmp_path, model, jnp.float32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    save_weights(tmp_path, model, jnp.float32, shard_bytes=40_000)
    assert not (tmp_path / "model.safetensors").exists() and (tmp_path / INDEX).exists()
    read(tmp_path)


def test_experts_as_transformers_5_turns_them_are_the_same_experts(tmp_path):
    config = reference.hf_config(**reference.KINDS["moe"])
    right = read(reference.write_directory(tmp_path / "released", config))
    values = load_file(tmp_path / "released/model.safetensors")
    turned = {
        name: np.ascontiguousarray(value.swapaxes(1, 2)) if ".experts." in name else value
        for name, value in values.items()
    }
    reference.write_directory(tmp_path / "turned", config)
    save_file(turned, tmp_path / "turned/model.safetensors")
    ours = flat_params(read(tmp_path / "turned", mesh=make_mesh({"tensor": 4})))
    for path, value in flat_params(right).items():
        np.testing.assert_array_equal(ours[path], value, err_msg=path)


def test_a_hub_name_is_found_in_the_cache_and_the_way_to_get_it_is_told(small_directory, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"Qwen/Tiny-VL is no directory here.*`hf download Qwen/Tiny-VL`"):
        load("Qwen/Tiny-VL")
    with pytest.raises(FileNotFoundError, match=r"Qwen/Tiny-VL is no directory here.*`hf download Qwen/Tiny-VL`"):
        load(Path("Qwen/Tiny-VL"))
    commit = "0" * 40
    snapshot = tmp_path / "models--Qwen--Tiny-VL" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(small_directory)
    (tmp_path / "models--Qwen--Tiny-VL" / "refs").mkdir()
    (tmp_path / "models--Qwen--Tiny-VL" / "refs" / "main").write_text(commit)
    assert model_directory("Qwen/Tiny-VL") == snapshot
    assert load("Qwen/Tiny-VL").config == Qwen3VLConfig.load(small_directory)


@pytest.mark.parametrize("path", ["runs/none/model", "none", "./a/b"])
def test_a_path_that_is_not_there_is_not_looked_up_on_any_hub(path):
    with pytest.raises(FileNotFoundError, match="is no model directory: it has no config.json"):
        load(path)


def test_a_model_loaded_on_a_mesh_lies_on_all_its_devices(small_directory):
    model = load(small_directory, mesh=make_mesh({"fsdp": 4}))
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(model.params)} == {4}
