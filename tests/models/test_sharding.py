"""One program on any mesh: the same logits on one device and on four."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from jaxerm.models.attention import Kernel
from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.qwen3_vl.weights import flat_params
from jaxerm.models.sharding import (
    batch_sharding,
    keep_state,
    make_mesh,
    param_spec,
    replicate,
    shard_batch,
    shard_model,
)
from tests.models import reference


@pytest.fixture(scope="module")
def inputs(reference_model):
    return batch_inputs(reference.prompts(), reference_model.config, length=reference.LENGTH, patches=reference.PATCHES)


@pytest.fixture(scope="module")
def on_one_device(reference_model, inputs, forward):
    return np.asarray(forward(*nnx.split(reference_model), inputs))


MESHES = [{"data": 2, "fsdp": 2}, {"fsdp": 2, "tensor": 2}, {"tensor": 4}]


@pytest.mark.parametrize("shape", MESHES, ids=lambda shape: "_".join(f"{k}{n}" for k, n in shape.items()))
def test_a_mesh_changes_nothing_but_where_the_work_is_done(reference_model, inputs, on_one_device, forward, shape):
    mesh = make_mesh(shape)
    graphdef, params = shard_model(reference_model, mesh)
    told = nnx.merge(graphdef, params)
    told.kernel = Kernel("xla", mesh)
    out = forward(nnx.split(told)[0], params, shard_batch(inputs, mesh))
    assert len(out.sharding.device_set) == 4
    real = inputs.segment_ids > 0
    # Logits reach 20 here: a sum in another order moves the sixth digit.
    np.testing.assert_allclose(np.asarray(out)[real], on_one_device[real], rtol=1e-5, atol=3e-5)


def test_parameters_lie_where_the_rules_say(reference_model):
    mesh = make_mesh({"fsdp": 2, "tensor": 2})
    params = flat_params(shard_model(reference_model, mesh)[1])
    expected = {
        "embed": P("tensor", "fsdp"),
        "decoder.early.q_proj.kernel": P(None, "fsdp", "tensor"),
        "decoder.early.o_proj.kernel": P(None, "tensor", "fsdp"),
        "decoder.late.down_proj.kernel": P(None, "tensor", "fsdp"),
        "visual.patch_embed.kernel": P(None, "fsdp"),
        "visual.stages.1.qkv.kernel": P(None, "fsdp", "tensor"),
        "visual.stages.1.proj.kernel": P(None, "tensor", "fsdp"),
        "visual.merger.fc2.kernel": P("tensor", "fsdp"),
        "decoder.early.q_norm.weight": P(),
        "visual.stages.0.fc1.bias": P(),
    }
    for path, spec in expected.items():
        assert params[path].sharding.spec == spec, path
        assert params[path].sharding.num_devices == 4
    kernel = params["decoder.early.q_proj.kernel"]
    assert kernel.addressable_shards[0].data.shape == (kernel.shape[0], kernel.shape[1] // 2, kernel.shape[2] // 2)


def test_only_a_few_small_parameters_are_whole_everywhere(reference_model):
    mesh = make_mesh({"fsdp": 4})
    params = flat_params(reference_model)
    whole = {path for path, value in params.items() if param_spec(path, value.shape, mesh) == P()}
    assert all(path.split(".")[-1] in ("bias", "scale", "weight") or "pos_embed" in path for path in whole), whole


def test_an_axis_that_does_not_divide_evenly_stays_whole():
    mesh = make_mesh({"fsdp": 2, "tensor": 2})
    assert param_spec("embed", (97, 40), mesh) == P(None, "fsdp")
    assert param_spec("decoder.early.q_proj.kernel", (2, 40, 63), mesh) == P(None, "fsdp", None)


def test_an_axis_of_size_one_cuts_nothing():
    mesh = make_mesh({"data": 4})
    assert all(axis is None for axis in param_spec("embed", (96, 40), mesh))


def test_rows_are_spread_over_data_and_fsdp_and_replicas_are_whole():
    mesh = make_mesh({"data": 2, "fsdp": 2})
    rows = shard_batch({"x": np.arange(8).reshape(8, 1)}, mesh)["x"]
    assert rows.sharding == batch_sharding(mesh)
    assert [shard.data.ravel().tolist() for shard in rows.addressable_shards] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    whole = replicate(np.arange(8), mesh)
    assert all(shard.data.shape == (8,) for shard in whole.addressable_shards)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (None, (1, 4, 1)),
        ({}, (1, 1, 1)),
        ({"fsdp": 3}, (1, 3, 1)),
        ({"data": 2, "fsdp": -1}, (2, 2, 1)),
        ({"tensor": 4}, (1, 1, 4)),
        ({"data": -1, "tensor": 2}, (2, 1, 2)),
    ],
)
def test_a_mesh_takes_as_many_devices_as_it_says(shape, sizes):
    mesh = make_mesh(shape)
    assert mesh.devices.shape == sizes
    assert mesh.devices.ravel().tolist() == jax.devices()[: mesh.devices.size]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"model": 2}, "mesh axis 'model' is unknown; the axes are data, fsdp, tensor"),
        ({"fsdp": 8}, "needs 8 devices; there are 4"),
        ({"fsdp": -1, "tensor": 3}, "the 4 devices cannot be shared out among 3"),
        ({"fsdp": -1, "data": 8}, "the 4 devices cannot be shared out among 8"),
        ({"fsdp": -1, "data": -1}, "one of them may be -1"),
        ({"fsdp": -1, "data": 0}, "sizes are 1 or more"),
        ({"fsdp": -2, "data": -2}, "sizes are 1 or more"),
    ],
)
def test_a_mesh_that_cannot_be_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        make_mesh(shape)


def test_gradients_lie_where_their_parameters_do():
    mesh = make_mesh({"fsdp": 4})
    params = {"q_proj": {"kernel": jnp.ones((8, 8))}, "norm": {"weight": jnp.ones(8)}}

    def loss(params, x):
        return jnp.sum((x @ params["q_proj"]["kernel"]) ** 2 * params["norm"]["weight"])

    made = jax.jit(lambda p, x: keep_state(jax.grad(loss)(p, x), mesh))(params, jnp.ones((4, 8)))
    assert made["q_proj"]["kernel"].sharding.spec == P("fsdp")
    assert made["norm"]["weight"].sharding.is_fully_replicated
