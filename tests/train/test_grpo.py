"""GRPO: what the gradient is made of, and a whole run against a stubbed judge."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxerm.critique import CritiqueError
from jaxerm.models.sampler import Sampling, forbidden_tokens
from jaxerm.prompts import Prompts
from jaxerm.rewards.severity import Scoring, score_attempts
from jaxerm.train.objective import Objective, kl_of_answers, log_probs_of, micro_gradients
from jaxerm.train.policy_gradient import count_answers
from jaxerm.train.rollouts import rollout_batch, sample_rollouts, take_rows
from tests.train.small import LENGTH, NEW, Judge

OBJECTIVE = Objective(
    temperature=1.0,
    ratio="token",
    surrogate="clip",
    clip_low=0.2,
    clip_high=0.2,
    dual_clip=None,
    kl_coef=0.5,
    kl_estimator="k3",
    kl_in="loss",
    loss_aggregation="token_mean",
    max_new_tokens=NEW,
    tis_cap=2.0,
)
RED = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="32" r="20" fill="red"/></svg>'


@pytest.fixture(scope="module")
def picture(pool):
    return pool.render("svg", RED).image


@pytest.fixture(scope="module")
def rollouts(micro, picture):
    return sample_rollouts(
        micro,
        micro.params,
        [("svg", picture), ("svg", picture[::-1])],
        Prompts("brief"),
        Sampling(1.0),
        n=2,
        max_new_tokens=NEW,
        length=LENGTH,
        patches=64,
        seed=1,
    )


@pytest.fixture(scope="module")
def banned(micro):
    return jnp.asarray(forbidden_tokens(micro.config, micro.processor.tokenizer))


def batch_of(micro, rollouts, advantages, counts=(True,) * 4):
    return rollout_batch(
        rollouts, np.array(advantages, np.float32), np.array(counts), micro, length=LENGTH + NEW, patches=64
    )


def gradients(micro, batch, banned, reference=None, objective=OBJECTIVE):
    frozen = {"graphdef": micro.graphdef, "temperature": 1.0}
    old = log_probs_of(micro.params, batch.inputs, banned, **frozen)
    fixed = old if reference is None else log_probs_of(reference, batch.inputs, banned, **frozen)
    got, metrics = micro_gradients(
        micro.params, batch, old, fixed, banned, graphdef=micro.graphdef, objective=objective
    )
    size = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(got))
    return size, {name: float(value) for name, value in metrics.items()}, (old, fixed)


def test_answers_stand_behind_their_prompts(micro, rollouts):
    batch = batch_of(micro, rollouts, [0] * 4)
    for row in range(4):
        size = int(rollouts.generated.lengths[row])
        np.testing.assert_array_equal(
            batch.inputs.tokens[row][batch.mask[row] > 0], rollouts.generated.tokens[row, :size]
        )
        np.testing.assert_array_equal(
            batch.sampler_log_probs[row][batch.mask[row] > 0], rollouts.generated.log_probs[row, :size]
        )


def test_sampler_and_trainer_agree_on_log_probs(micro, rollouts, banned):
    batch = batch_of(micro, rollouts, [0] * 4)
    _, metrics, (old, _) = gradients(micro, batch, banned)
    np.testing.assert_allclose(old * batch.mask, batch.sampler_log_probs, atol=1e-4)
    assert metrics["sampler_gap"] < 1e-4
    assert metrics["importance_weight"] == pytest.approx(1, abs=1e-3)


def test_without_advantage_and_without_drift_nothing_moves(micro, rollouts, banned):
    size, metrics, _ = gradients(micro, batch_of(micro, rollouts, [0] * 4), banned)
    assert size < 1e-3 and metrics["kl"] == pytest.approx(0, abs=1e-6)


def test_the_kl_term_pulls_to_the_reference(micro, rollouts, banned):
    batch = batch_of(micro, rollouts, [0] * 4)
    other = jax.tree.map(lambda x: x * 1.3, micro.params)
    size, metrics, (old, fixed) = gradients(micro, batch, banned, reference=other)
    delta = np.asarray(fixed - old)[batch.mask > 0]
    assert metrics["kl"] == pytest.approx(float((np.exp(delta) - 1 - delta).mean()), rel=1e-3)
    assert metrics["loss"] == pytest.approx(0.5 * metrics["kl"], rel=1e-3)
    without, _, _ = gradients(micro, batch, banned, reference=other, objective=replace(OBJECTIVE, kl_coef=0.0))
    assert size > 100 * without


def test_the_kl_is_in_the_loss_or_in_the_reward_and_not_in_both(micro, rollouts, banned):
    batch = batch_of(micro, rollouts, [0] * 4)
    other = jax.tree.map(lambda x: x * 1.3, micro.params)
    in_reward = replace(OBJECTIVE, kl_in="reward")
    size, metrics, (old, fixed) = gradients(micro, batch, banned, reference=other, objective=in_reward)
    assert size < 1e-3 and metrics["loss"] == pytest.approx(0, abs=1e-6) and metrics["kl"] > 0.01
    taken = kl_of_answers(old, fixed, batch.mask, "k1")
    delta = np.asarray(old - fixed, np.float64) * batch.mask
    np.testing.assert_allclose(taken, delta.sum(axis=1), rtol=1e-4)


def test_before_the_first_update_the_old_log_probs_are_the_policys_own(micro, rollouts, banned):
    batch = batch_of(micro, rollouts, [1, -1, 0.5, 2])
    other = jax.tree.map(lambda x: x * 1.3, micro.params)
    frozen = {"graphdef": micro.graphdef, "temperature": 1.0}
    old, fixed = (log_probs_of(params, batch.inputs, banned, **frozen) for params in (micro.params, other))
    step = {"graphdef": micro.graphdef, "objective": OBJECTIVE}
    told, _ = micro_gradients(micro.params, batch, old, fixed, banned, **step)
    own, _ = micro_gradients(micro.params, batch, None, fixed, banned, **step)
    for one, two in zip(jax.tree.leaves(told), jax.tree.leaves(own), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "sequence_sum"])
def test_micro_batches_add_up_to_their_mini_batch(micro, rollouts, banned, aggregation):
    """Their answers are of different lengths: a mean of means would weigh the tokens of the shorter ones more."""
    batch = batch_of(micro, rollouts, [1, -1, 0.5, 2], counts=(True, True, True, False))
    mask = batch.mask.copy()
    mask[0, np.flatnonzero(mask[0])[3:]] = 0
    batch = replace(batch, mask=mask)
    other = jax.tree.map(lambda x: x * 1.3, micro.params)
    step = {"graphdef": micro.graphdef, "objective": replace(OBJECTIVE, loss_aggregation=aggregation)}
    fixed = log_probs_of(other, batch.inputs, banned, graphdef=micro.graphdef, temperature=1.0)
    whole, _ = micro_gradients(micro.params, batch, None, fixed, banned, **step)
    totals = count_answers(batch.mask)
    halves = [
        micro_gradients(micro.params, take_rows(batch, at, at + 2), None, fixed[at : at + 2], banned, *totals, **step)[
            0
        ]
        for at in (0, 2)
    ]
    for all_, *parts in zip(jax.tree.leaves(whole), *map(jax.tree.leaves, halves), strict=True):
        np.testing.assert_allclose(sum(parts), all_, atol=1e-5)


def test_what_beat_its_group_becomes_likelier(micro, rollouts, banned):
    batch = batch_of(micro, rollouts, [1, -1, 0, 0])
    frozen = {"graphdef": micro.graphdef, "temperature": 1.0}
    old = log_probs_of(micro.params, batch.inputs, banned, **frozen)
    got, _ = micro_gradients(micro.params, batch, old, old, banned, graphdef=micro.graphdef, objective=OBJECTIVE)
    moved = jax.tree.map(lambda p, g: p - 1e-3 * g, micro.params, got)
    new = log_probs_of(moved, batch.inputs, banned, **frozen)
    gain = ((new - old) * batch.mask).sum(axis=1)
    assert gain[0] > 0 > gain[1]


def test_an_unscored_answer_counts_in_no_term(micro, rollouts, banned):
    other = jax.tree.map(lambda x: x * 1.3, micro.params)
    none = batch_of(micro, rollouts, [5, 5, 5, 5], counts=(False,) * 4)
    size, metrics, _ = gradients(micro, none, banned, reference=other)
    assert size == 0 and metrics["loss"] == 0


def test_faults_are_told_apart(pool, picture):
    class Unreadable(Judge):
        def critiques(self, pairs, **_):
            return [CritiqueError("nothing") for _ in pairs]

    answers = [
        ("svg", picture, f"```svg\n{RED}\n```"),
        ("svg", picture, "I cannot draw."),
        ("svg", picture, "```svg\n<svg xmlns='http://www.w3.org/2000/svg'><circle\n```"),
    ]
    statuses = [a.reward.status for a in score_attempts(answers, pool, Judge(), Scoring())]
    assert statuses == ["scored", "failed", "failed"]
    judged = score_attempts(answers, pool, Unreadable(), Scoring())
    assert [a.reward.status for a in judged] == ["unscored", "failed", "failed"]
    assert [a.reward.value for a in judged] == [None, 0.0, 0.0]


def test_the_perfect_attempt_gets_two(pool, picture):
    worse = RED.replace("red", "blue")
    answers = [("svg", picture, f"```svg\n{code}\n```") for code in (RED, worse)]
    good, bad = score_attempts(answers, pool, Judge(), Scoring())
    assert good.reward.value == pytest.approx(2) and bad.reward.value == pytest.approx(1, abs=1e-5)
    assert good.reward.parts == {"render_success": 1.0, "visual_erm": pytest.approx(1)}
