"""A recipe is planned for simulated devices, and for a TPU where libtpu is installed."""

from __future__ import annotations

import pytest

from jaxerm.plan.chips import open_topology
from jaxerm.plan.planner import plan
from jaxerm.plan.table import plan_lines
from jaxerm.recipe import GrpoRecipe, SftRecipe
from tests.models import reference

DTYPE = {"param": "float32", "compute": "float32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(reference.write_directory(tmp_path_factory.mktemp("plan"), reference.hf_config()))


def sft(model, **changes):
    values = {
        "model": model, "steps": 1, "out": "runs/none", "batch_size": 8, "max_length": 64, "max_patches": 64,
        "dtype": DTYPE, "mesh": {"fsdp": 2, "tensor": 2}, "data": {"mixture": [{"source": "drawings"}]},
    }  # fmt: skip
    return SftRecipe.model_validate(values | changes)


KEYS = {"fits", "hbm_bytes", "hbm_limit_bytes", "model_flops", "hlo_flops", "programs"}


def test_a_train_step_on_simulated_devices(model):
    result = plan(sft(model), "cpu:4")
    assert KEYS <= set(result) and result["fits"] and result["hbm_limit_bytes"] is None
    (step,) = result["programs"]
    assert step["name"] == "train_step" and step["hbm_bytes"] == result["hbm_bytes"] > step["argument_bytes"]
    assert result["devices"] == 4 and step["collective_bytes"]["all-reduce"] > 0
    full = plan(sft(model, remat="full"), "cpu:4")["programs"][0]
    assert full["hlo_flops"] > 1.2 * step["hlo_flops"] and full["model_flops"] == step["model_flops"]
    assert "train_step" in plan_lines(result) and "fits" in plan_lines(result)


def test_grpo_plans_training_prefill_decoding_and_scoring(model):
    recipe = GrpoRecipe.model_validate(
        {
            "policy": model,
            "steps": 1,
            "out": "runs/none",
            "prompts_per_step": 4,
            "mini_batch": 4,
            "rollouts": 2,
            "max_prompt_length": 64,
            "max_patches": 64,
            "max_new_tokens": 16,
            "dtype": DTYPE,
            "mesh": {"fsdp": 4},
            "data": {"mixture": [{"source": "drawings"}]},
            "reward": {"model": model, "max_prompt_length": 64, "max_patches": 64, "rows": 4},
        }  # fmt: skip
    )
    result = plan(recipe, "cpu:4")
    assert [entry["name"] for entry in result["programs"]] == ["train_step", "prefill", "decode", "scoring"]
    for entry in result["programs"]:
        assert entry["beside_bytes"] > 0
        assert 0.9 < entry["recomputation"] < 2.5, entry
    assert result["hbm_bytes"] == max(entry["hbm_bytes"] for entry in result["programs"])


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ("h100:8", r"topology 'h100:8': name a chip and its arrangement, such as v6e:4x4"),
        ("cpu:64", "cpu:64: there are 4 simulated devices"),
    ],
)
def test_a_topology_that_is_not_known_is_named(topology, message):
    with pytest.raises(ValueError, match=message):
        open_topology(topology)


def test_what_cannot_be_planned_is_named(model):
    with pytest.raises(ValueError, match="program 'decode' is none of this recipe; there are train_step"):
        plan(sft(model), "cpu:4", only="decode")
    with pytest.raises(ValueError, match="6 rows cannot be shared out among 4 devices"):
        plan(sft(model, batch_size=6, mesh={"fsdp": 4}), "cpu:4")


def test_a_tpu_that_is_not_here(model):
    pytest.importorskip("libtpu")
    result = plan(sft(model), "v5e:2x2")
    assert result["attention"] == "splash" and result["fits"] and result["hbm_limit_bytes"] == 16 * 2**30
    assert 0 < result["hbm_bytes"] < 2**30
    assert result["programs"][0]["step_seconds_at_least"] > 0
