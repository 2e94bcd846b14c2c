"""A recipe is planned for simulated devices, and for a TPU where libtpu is installed."""

from __future__ import annotations

import sys

import pytest

from jaxerm.plan.chips import open_topology
from jaxerm.plan.planner import plan
from jaxerm.plan.search import nearest_that_fits
from jaxerm.plan.table import as_overrides, plan_lines
from jaxerm.plan.weigh import needed_bytes
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


def test_grpo_plans_training_rollouts_and_scoring(model):
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
            "reward": {"model": model, "max_prompt_length": 64, "max_patches": 64, "rows": 4, "max_new_tokens": 16},
        }  # fmt: skip
    )
    result = plan(recipe, "cpu:4")
    programs = {entry["name"]: entry for entry in result["programs"]}
    assert list(programs) == ["train_step", "prefill", "decode", "rollout", "scoring"]
    parts = programs["prefill"]["hlo_flops"] + 15 * programs["decode"]["hlo_flops"]
    assert programs["rollout"]["hlo_flops"] == pytest.approx(parts, rel=0.01)
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


def test_libtpu_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    with pytest.raises(ValueError, match=r"planning for a TPU needs libtpu: pip install -e '\.\[plan\]'"):
        open_topology("v5e:2x2")


def test_roles_with_devices_of_their_own_are_refused(model):
    recipe = GrpoRecipe.model_validate(
        {
            "policy": model,
            "steps": 1,
            "out": "runs/none",
            "prompts_per_step": 4,
            "mini_batch": 4,
            "rollouts": 2,
            "dtype": DTYPE,
            "mesh": {"fsdp": 2},
            "data": {"mixture": [{"source": "drawings"}]},
            "reward": {"model": model},
            "role_to_mesh": {"rollout": {"devices": [2, 4]}},
        }  # fmt: skip
    )
    with pytest.raises(ValueError, match="role_to_mesh: a plan is made for roles that share all devices; leave it out"):
        plan(recipe, "cpu:4")


def test_a_tpu_that_is_not_here(model):
    pytest.importorskip("libtpu")
    result = plan(sft(model), "v5e:2x2")
    assert result["compiler"].startswith("libtpu ")
    assert result["attention"] == "splash" and result["fits"] and result["hbm_limit_bytes"] == 15.75 * 2**30
    assert 0 < result["hbm_bytes"] < 2**30
    assert result["programs"][0]["step_seconds_at_least"] > 0


@pytest.mark.parametrize(
    ("message", "gib"),
    [
        ("Ran out of memory in memory space hbm. Used 24.50G of 15.75G hbm. Exceeded by 8.75G.", 24.5),
        ("the total memory required for HLO temporaries (39.25G) exceeds available HBM (31.25G).", 40.25),
        ("something else went wrong", None),
    ],
)
def test_what_the_compiler_says_it_lacks(message, gib):
    assert needed_bytes(message, held=2**30) == (None if gib is None else gib * 2**30)


def made_up(fits):
    """An `attempt` that compiles nothing; `fits` says of a recipe what fits."""
    asked = []

    def attempt(recipe, names=None):
        asked.append(recipe)
        return {"fits": fits(recipe), "programs": [{"name": "train_step", "fits": fits(recipe)}]}

    return attempt, asked


def result_of(recipe, needed, *, fixed=10, limit=100):
    entry = {"name": "train_step", "fits": False, "fixed_bytes": fixed, "hbm_bytes": needed}
    mesh = {axis: recipe.mesh[axis] for axis in ("data", "fsdp", "tensor")}
    return {"programs": [entry], "hbm_limit_bytes": limit, "mesh": mesh, "devices": 4}


@pytest.mark.parametrize(
    ("fits", "nearest", "compilations"),
    [
        (lambda r: r.remat == "full", {"remat": "full", "logits_chunk": 512}, 1),
        # Of 200 bytes 10 are fixed: a quarter of the rows has room, half of them has not and is not tried.
        (lambda r: r.accumulate == 4, {"remat": "full", "logits_chunk": 512, "accumulate": 4}, 2),
        (
            lambda r: r.mesh["tensor"] == 2 and r.accumulate == 1,
            {"remat": "full", "logits_chunk": 512, "mesh": {"data": 1, "fsdp": 2, "tensor": 2}},
            4,
        ),
        (lambda r: False, None, 8),
    ],
    ids=["remat", "rows", "mesh", "nothing"],
)
def test_the_search_tries_remat_then_rows_then_another_mesh(model, fits, nearest, compilations):
    recipe = sft(model, batch_size=32, mesh={"fsdp": 4})
    attempt, asked = made_up(fits)
    assert nearest_that_fits(recipe, result_of(recipe, 300), attempt) == nearest
    assert len(asked) <= compilations


def test_weights_that_do_not_fit_are_not_helped_by_fewer_rows(model):
    recipe = sft(model, batch_size=32, mesh={"fsdp": 4}, remat="full", logits_chunk=64)
    attempt, asked = made_up(lambda r: False)
    assert nearest_that_fits(recipe, result_of(recipe, 300, fixed=150), attempt) is None
    assert not asked


def test_changes_are_told_as_overrides():
    assert as_overrides({"remat": "full", "mesh": {"fsdp": 2, "tensor": 2}}) == "remat=full mesh.fsdp=2 mesh.tensor=2"
