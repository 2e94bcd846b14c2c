"""SFT: the loss looks at answers only, a run resumes exactly, and what comes out is a model directory."""

import json
import os
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from benchmarks.kills import compare, survive
from jaxerm.data.examples import pair_example
from jaxerm.data.features import features
from jaxerm.data.packing import Packing
from jaxerm.data.pairs import PairMaker
from jaxerm.data.pipeline import Component, batches
from jaxerm.data.sources import open_source
from jaxerm.eval.held_out import HeldOutCritiques
from jaxerm.models.language import load
from jaxerm.prompts import Prompts
from jaxerm.recipe import load_recipe
from jaxerm.train.checkpoint import Checkpoints
from jaxerm.train.losses import next_token_log_probs, sft_loss
from jaxerm.train.preemption import Preempted
from jaxerm.train.sft import run_sft
from jaxerm.train.state import learning_rate
from jaxerm.train.watch import RunStopped

PACKING = Packing(rows=2, length=512, patches=256)


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory, micro_directory):
    path = tmp_path_factory.mktemp("recipes") / "micro.yaml"
    path.write_text(
        f"""
kind: sft
model: {micro_directory}
out: unused
steps: 6
seed: 3
checkpoint_every: 3
prompts: brief
render: {{svg_size: 64}}
batch_size: 4
max_length: 512
max_patches: 256
max_new_tokens: 40
dtype: {{param: float32, compute: float32}}
optimizer: {{lr: 2.0e-3, warmup_steps: 1}}
mesh: {{fsdp: 2}}
data:
  mixture:
    - {{source: drawings, role: critique, options: {{max_shapes: 2}}}}
    - {{source: drawings, role: describe, weight: 0.5, options: {{max_shapes: 2}}}}
evaluation:
  every: 3
  batches: 1
  pairs: 2
  mixture:
    - {{source: drawings, role: critique, options: {{max_shapes: 2, seed: 99}}}}
"""
    )
    return path


@pytest.fixture(scope="module")
def run(recipe_file, tmp_path_factory, pool):
    """A whole run: its folder, and every batch it saw."""
    out = tmp_path_factory.mktemp("sft") / "whole"
    seen = []
    model = run_sft(
        load_recipe(recipe_file, [f"out={out}"]), pool=pool, quiet=True, on_batch=lambda b: seen.append(b.inputs.tokens)
    )
    return out, seen, model


def one_example(pool):
    pair = PairMaker(open_source("drawings", max_shapes=2), pool).make(1)
    return pair, pair_example("critique", pair, Prompts("brief"))


def test_weights_cover_the_answer_and_nothing_else(micro, pool):
    pair, example = one_example(pool)
    got = features(example, micro.processor)
    answer = got["tokens"][got["weights"] > 0]
    assert micro.processor.decode(answer) == pair.critique.to_json()
    assert answer[-1] == micro.config.eos_token_id
    prompt = got["tokens"][got["weights"] == 0]
    assert (prompt == micro.config.image_token_id).sum() == 32
    assert not (answer == micro.config.image_token_id).any()


def test_the_first_image_is_the_reference(micro, pool):
    pair, example = one_example(pool)
    got = features(example, micro.processor)
    alone = micro.processor.sample([{"role": "user", "content": [{"type": "image", "image": pair.reference}]}])
    np.testing.assert_array_equal(got["patches"][got["image"] == 1], alone.patches)
    assert not np.array_equal(got["patches"][got["image"] == 2], alone.patches)


def test_loss_is_the_mean_over_answer_tokens(micro, pool):
    data = batches([Component(lambda _: one_example(pool)[1], 10, 1.0)], micro.processor, PACKING, seed=0)
    batch = next(data)
    model = micro.module
    log_probs = np.asarray(nnx.jit(next_token_log_probs)(model, batch.inputs))
    logits = np.asarray(jax.nn.log_softmax(nnx.jit(lambda model, inputs: model(inputs))(model, batch.inputs)))
    total, count = 0.0, 0
    for row, at in np.argwhere(batch.weights > 0):
        total -= logits[row, at - 1, batch.inputs.tokens[row, at]]
        count += 1
    assert float(nnx.jit(sft_loss)(model, batch.inputs, batch.weights)) == pytest.approx(total / count, rel=1e-5)
    assert log_probs[:, 0].tolist() == [0] * len(log_probs)


def test_prompt_tokens_are_no_targets(micro, pool):
    """Another prompt token changes what is predicted after it; as a target it must not count at all."""
    data = batches([Component(lambda _: one_example(pool)[1], 10, 1.0)], micro.processor, PACKING, seed=0)
    batch = next(data)
    none = np.zeros_like(batch.weights)
    gradient = jax.jit(jax.grad(lambda p: sft_loss(nnx.merge(micro.graphdef, p), batch.inputs, none)))
    gradients = gradient(micro.params)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients)) == 0


def test_saving_memory_changes_no_number(micro, pool):
    """Layers computed anew, and logits made 100 positions at a time, which does not divide the row."""
    data = batches([Component(lambda _: one_example(pool)[1], 10, 1.0)], micro.processor, PACKING, seed=0)
    batch = next(data)

    def loss_and_gradient(**saving):
        loss = lambda p: sft_loss(nnx.merge(micro.graphdef, p), batch.inputs, batch.weights, **saving)  # noqa: E731
        return jax.jit(jax.value_and_grad(loss))(micro.params)

    loss, gradient = loss_and_gradient()
    for saving in ({"remat": "full", "chunk": 100}, {"remat": "attention"}, {"remat": "dots_no_batch"}):
        other, others = loss_and_gradient(**saving)
        assert float(other) == pytest.approx(float(loss), rel=1e-6)
        for one, two in zip(jax.tree.leaves(gradient), jax.tree.leaves(others), strict=True):
            np.testing.assert_allclose(two, one, atol=1e-5)


def test_a_run_learns_and_leaves_what_it_promises(run):
    out, seen, model = run
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert all(row["answer_tokens"] > 0 and 0 < row["fill"] <= 1 for row in rows)
    isolation = json.loads((out / "machine.json").read_text())["isolation"]["svg"]
    assert isolation.startswith("process+")
    loaded = load(out / "model")
    assert loaded.settings == {"prompts": "brief", "max_new_tokens": 40, "render": {"svg_size": 64}}
    for ours, theirs in zip(jax.tree.leaves(loaded.params), jax.tree.leaves(model.params), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interrupted_run_goes_on_exactly(run, recipe_file, tmp_path, pool):
    _, whole, model = run

    class Killed(Exception):
        pass

    def until(step, seen):
        def watch(batch):
            if len(seen) == step:
                raise Killed
            seen.append(batch.inputs.tokens)

        return watch

    recipe = load_recipe(recipe_file, [f"out={tmp_path / 'parts'}"])
    first, second = [], []
    with pytest.raises(Killed):
        run_sft(recipe, pool=pool, quiet=True, on_batch=until(4, first))
    resumed = run_sft(recipe, pool=pool, quiet=True, on_batch=until(10, second))
    # Four batches were trained on, the checkpoint is of the third: the fourth is seen again.
    for got, expected in zip(first[:3] + second, whole, strict=True):
        np.testing.assert_array_equal(got, expected)
    for ours, theirs in zip(jax.tree.leaves(resumed.params), jax.tree.leaves(model.params), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_held_out_figures_are_measured_and_the_best_is_kept(run):
    out, _, model = run
    rows = {row["step"]: row for row in map(json.loads, (out / "metrics.jsonl").read_text().splitlines())}
    losses = {step: row["eval_loss"] for step, row in rows.items() if "eval_loss" in row}
    assert sorted(losses) == [3, 6] and losses[6] < losses[3]
    with Checkpoints((out / "checkpoints").resolve(), read_only=True) as checkpoints:
        assert checkpoints.best == 6 and checkpoints.best_loss == losses[6]


def test_the_best_checkpoint_outlives_newer_ones(tmp_path):
    with Checkpoints(tmp_path / "checkpoints", keep=1) as checkpoints:
        for step, loss in ((1, 0.5), (2, 0.2), (3, None), (4, 0.9), (5, None)):
            checkpoints.save(step, {"a": jnp.full(2, step)}, {}, loss)
        checkpoints.wait()
        assert checkpoints.steps == [2, 5] and checkpoints.best == 2
    with Checkpoints(tmp_path / "checkpoints", keep=1) as again:
        assert (again.newest, again.best, again.best_loss) == (5, 2, 0.2)
        step, state, _ = again.restore({"a": jnp.zeros(2, int)}, again.best)
        assert step == 2 and state["a"].tolist() == [2, 2]


def test_what_a_reward_model_finds_is_judged_while_it_trains(recipe_file, micro, pool):
    measured = HeldOutCritiques(load_recipe(recipe_file))(micro, pool)
    assert measured == {"f1": 0.0, "f1_soft": 0.0, "severity_correlation": 0.0, "readable": 0.0}


def test_sigterm_saves_and_leaves_and_the_same_command_goes_on(run, recipe_file, tmp_path, pool):
    _, whole, model = run
    recipe, seen = load_recipe(recipe_file, [f"out={tmp_path / 'left'}"]), []

    def watch(batch):
        seen.append(batch.inputs.tokens)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted, match="saved at step 2 of 6"):
        run_sft(recipe, pool=pool, quiet=True, on_batch=watch)
    resumed = run_sft(recipe, pool=pool, quiet=True, on_batch=watch)
    for got, expected in zip(seen, whole, strict=True):
        np.testing.assert_array_equal(got, expected)
    for ours, theirs in zip(jax.tree.leaves(resumed.params), jax.tree.leaves(model.params), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_run_that_is_killed_goes_on_value_for_value(run, recipe_file, tmp_path):
    """The command in a process of its own, killed once by SIGKILL, against the run of this process."""
    out = tmp_path / "killed"
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "jaxerm.cli", "sft", str(recipe_file), f"out={out}", "checkpoint_every=1"]
    found = survive(command, out, 1, seed=0, log=tmp_path / "log", env=env, lives=0)
    assert len(found.kills) == 1
    # What is judged by a held-out pair is the command's own; the run of this process has nobody to ask.
    assert [diff for diff in compare(run[0], out) if "eval_" not in diff] == []


def test_schedules():
    recipe = load_recipe_optimizer("cosine")
    rate = learning_rate(recipe, 12)
    assert rate(0) == pytest.approx(1 / 3) and rate(1) == pytest.approx(2 / 3) and rate(2) == 1
    assert rate(7) == pytest.approx(0.1 + 0.9 * 0.5) and rate(12) == pytest.approx(0.1)
    assert learning_rate(load_recipe_optimizer("constant"), 12)(11) == 1
    assert learning_rate(load_recipe_optimizer("linear"), 12)(7) == pytest.approx(0.55)


def load_recipe_optimizer(schedule):
    from jaxerm.recipe_schema import Optimizer

    return Optimizer(lr=1.0, warmup_steps=2, schedule=schedule, decay_to=0.1)


def test_a_loss_that_is_no_number_stops_the_run_and_is_never_saved(recipe_file, tmp_path, pool):
    recipe = load_recipe(recipe_file, [f"out={tmp_path / 'run'}", "checkpoint_every=1", "log_every=100", "steps=4"])
    seen = []

    def poison(batch):
        seen.append(batch)
        if len(seen) == 2:
            batch.inputs.vision.patches[:] = np.nan

    with pytest.raises(RunStopped, match=r"step 2: loss is nan .*checkpoints/1: .* goes on from step 1"):
        run_sft(recipe, pool=pool, quiet=True, on_batch=poison)
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert row["step"] == 2 and row["loss"] is None and "loss is nan" in row["alarms"][0]
    assert [item.name for item in (tmp_path / "run" / "checkpoints").iterdir() if item.name.isdigit()] == ["1"]
    assert not (tmp_path / "run" / "model").exists()
