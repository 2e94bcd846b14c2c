"""Whole GRPO runs against a stubbed judge: what they leave, how they are left and gone on with, where roles work."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from jaxerm.models.language import load
from jaxerm.recipe import load_recipe
from jaxerm.runs import read_metrics
from jaxerm.train.export import export_run
from jaxerm.train.grpo import run_grpo
from jaxerm.train.preemption import Preempted, StopSignal
from tests.train.small import NEW, Judge, small_grpo

FIGURES = ("reward", "loss", "kl", "grad_norm", "answer_tokens", "entropy_estimate")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory, micro_directory):
    return small_grpo(tmp_path_factory.mktemp("recipes") / "micro_grpo.yaml", micro_directory)


@pytest.fixture(scope="module")
def run(recipe_file, pool):
    """Runs the recipe with overrides and returns the policy."""

    def run(*overrides, **hooks):
        return run_grpo(load_recipe(recipe_file, overrides), erm=Judge(), pool=pool, quiet=True, **hooks)

    return run


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """Folder and policy of a run that was left alone."""
    out = tmp_path_factory.mktemp("grpo") / "whole"
    return out, run(f"out={out}")


def same_weights(one, two, atol=1e-6):
    for ours, theirs in zip(jax.tree.leaves(one.params), jax.tree.leaves(two.params), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=atol)


def same_figures(one, two, rtol=1e-5):
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for mine, theirs in zip(one, two, strict=True):
        for name in FIGURES:
            assert mine[name] == pytest.approx(theirs[name], rel=rtol, abs=1e-6), name


def test_a_run_leaves_what_it_promises(whole, pool):
    out, _ = whole
    rows = read_metrics(out)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert json.loads((out / "machine.json").read_text()) == {"isolation": pool.isolation}
    assert all(row["reward_std"] > 0 and row["grad_norm"] > 0 for row in rows), "these runs must learn something"
    assert {"reward", "render_rate", "kl", "sampler_gap", "unscored", "clip_fraction"} <= rows[0].keys()
    assert {"generate_s", "wait_s", "render_s", "score_s", "update_s", "idle"} <= rows[0].keys()
    entries = (out / "rollouts" / "000001" / "rollouts.jsonl").read_text().splitlines()
    assert len(entries) == 4
    assert (out / "rollouts" / "000001" / json.loads(entries[0])["reference"]).is_file()
    spans = json.loads((out / "rollouts" / "000001" / "timeline.json").read_text())
    assert {"generate", "update"} <= {span["name"] for span in spans if span["on"] == "device"}
    assert load(out / "model").settings["max_new_tokens"] == NEW


def test_a_run_without_held_out_prompts_has_no_best(whole, tmp_path):
    with pytest.raises(ValueError, match="no best checkpoint: its recipe has no `evaluation`"):
        export_run(whole[0], tmp_path / "other", best=True)


def test_a_run_goes_on_from_its_checkpoint(run, whole, tmp_path):
    run(f"out={tmp_path / 'parts'}", "steps=2")
    parts = run(f"out={tmp_path / 'parts'}")
    same_weights(parts, whole[1])
    same_figures(read_metrics(tmp_path / "parts"), read_metrics(whole[0]))


def test_sigterm_after_a_step_saves_and_leaves(run, whole, tmp_path):
    def ask_to_leave(step, *_):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted, match="saved at step 1 of 3; the same command goes on"):
        run(f"out={tmp_path / 'left'}", on_step=ask_to_leave)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    same_weights(run(f"out={tmp_path / 'left'}"), whole[1])
    same_figures(read_metrics(tmp_path / "left"), read_metrics(whole[0]))


def test_a_step_left_in_the_middle_keeps_its_answers(run, whole, tmp_path, monkeypatch):
    """The run looks twice while it generates, and once after each step: the fourth time is within step 2."""
    looks = []
    monkeypatch.setattr(StopSignal, "asked", lambda self: len(looks) == 4 or bool(looks.append(1)))
    out = tmp_path / "left"
    with pytest.raises(Preempted, match="saved at step 1 of 3"):
        run(f"out={out}")
    with np.load(out / "unfinished.npz") as file:
        assert int(file["step"]) == 2 and int(file["parts"]) == 2
    monkeypatch.undo()
    same_weights(run(f"out={out}"), whole[1])
    same_figures(read_metrics(out), read_metrics(whole[0]))


def test_roles_on_devices_of_their_own_change_no_figure(run, whole, tmp_path):
    places = "{actor: {devices: [0, 2], mesh: {fsdp: 2}}, rollout: {devices: [2, 3]}, reference: {devices: [3, 4]}}"
    policy = run(f"out={tmp_path / 'apart'}", f"role_to_mesh={places}", "steps=2")
    held = {device.id for leaf in jax.tree.leaves(policy.params) for device in leaf.devices()}
    assert held == {0, 1}
    same_figures(read_metrics(tmp_path / "apart"), read_metrics(whole[0])[:2], rtol=1e-4)


def test_lora_trains_shares_its_reference_and_is_merged_when_exported(run, micro, tmp_path):
    out = tmp_path / "lora"
    measured = "{every: 1, prompts: 3, mixture: [{source: drawings, options: {max_shapes: 2, seed: 77}}]}"
    settings = ("steps=2", "mini_batch=2", "lora={rank: 2}", "optimizer.lr=1.0e-2", f"evaluation={measured}")
    policy = run(f"out={out}", *settings)
    before, *rows = read_metrics(out)
    assert before["step"] == 0 and before["eval_n"] == rows[1]["eval_n"] == 8 and before["eval_ink_overlap"] == 0
    best = max((1, 2), key=lambda step: rows[step - 1]["eval_reward"])
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6) and rows[1]["kl"] > 0
    assert export_run(out, tmp_path / "exported") == 2
    same_weights(load(tmp_path / "exported"), load(out / "model"))
    moved = max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(jax.tree.leaves(load(out / "model").params), jax.tree.leaves(micro.params), strict=True)
    )
    assert moved > 1e-5 and len(jax.tree.leaves(policy.params)) > len(jax.tree.leaves(micro.params))
    assert export_run(out, tmp_path / "best", best=True) == best
    with pytest.raises(ValueError, match="holds no checkpoint of step 7; it holds .*2"):
        export_run(out, tmp_path / "other", step=7)
    with pytest.raises(ValueError, match="is not empty"):
        export_run(out, tmp_path / "exported")
