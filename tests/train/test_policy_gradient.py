"""The arithmetic of GRPO, against numbers worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxerm.train.policy_gradient import (
    KL_ESTIMATORS,
    aggregate,
    clipped_objective,
    group_advantages,
    importance_weights,
)


def test_grpo_advantages_are_standardised_within_each_group():
    got = group_advantages([1, 3, 10, 10], 2, "grpo")
    np.testing.assert_allclose(got, [-(0.5**0.5), 0.5**0.5, 0, 0], atol=1e-5)


def test_dr_grpo_only_centres_and_rloo_leaves_itself_out():
    np.testing.assert_allclose(group_advantages([1, 2, 6], 3, "dr_grpo"), [-2, -1, 3])
    np.testing.assert_allclose(group_advantages([1, 2, 6], 3, "rloo"), [1 - 4, 2 - 3.5, 6 - 1.5])


@pytest.mark.parametrize("kind", ["grpo", "dr_grpo", "rloo"])
def test_an_unscored_answer_shifts_nobody(kind):
    without = group_advantages([1, 2, 6], 3, kind)
    with_one = group_advantages([1, None, 2, 6], 4, kind)
    np.testing.assert_allclose(with_one, [without[0], 0, without[1], without[2]], atol=1e-6)


def test_a_group_with_one_score_teaches_nothing():
    np.testing.assert_array_equal(group_advantages([None, 5.0], 2), [0, 0])


def test_unknown_advantage_is_named():
    with pytest.raises(ValueError, match="gae"):
        group_advantages([1, 2], 2, "gae")


def test_clipping_is_pessimistic_on_both_sides():
    old = jnp.zeros((4, 1))
    new = jnp.log(jnp.array([[1.5], [1.5], [0.5], [0.5]]))
    objective, clipped = clipped_objective(new, old, jnp.array([1.0, -1.0, 1.0, -1.0]), 0.2, 0.3)
    np.testing.assert_allclose(objective[:, 0], [1.3, -1.5, 0.5, -0.8], rtol=1e-6)
    np.testing.assert_array_equal(clipped[:, 0], [True, False, False, True])


def test_k3_is_unbiased_and_never_negative():
    rng = np.random.default_rng(0)
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.25, 0.25])
    exact = float((p * np.log(p / q)).sum())
    delta = np.log(q / p)
    for name in ("k1", "k3"):
        assert float((p * np.asarray(KL_ESTIMATORS[name](jnp.asarray(delta)))).sum()) == pytest.approx(exact, abs=1e-6)
    assert (np.asarray(KL_ESTIMATORS["k3"](jnp.asarray(rng.normal(size=100)))) >= 0).all()
    np.testing.assert_allclose(KL_ESTIMATORS["k2"](jnp.array(2.0)), 2.0)


def test_three_ways_to_aggregate():
    values, mask = jnp.array([[1.0, 2.0, 9.0], [4.0, 9.0, 9.0]]), jnp.array([[1, 1, 0], [1, 0, 0]])
    assert float(aggregate(values, mask, "token_mean", 10)) == pytest.approx(7 / 3)
    assert float(aggregate(values, mask, "sequence_mean", 10)) == pytest.approx((1.5 + 4) / 2)
    assert float(aggregate(values, mask, "sequence_sum", 10)) == pytest.approx((0.3 + 0.4) / 2)


def test_a_row_that_is_masked_out_is_no_answer():
    values, mask = jnp.array([[1.0], [100.0]]), jnp.array([[1], [0]])
    for kind in ("token_mean", "sequence_mean"):
        assert float(aggregate(values, mask, kind, 1)) == pytest.approx(1.0)


def test_importance_weights_are_truncated():
    old, sampler = jnp.log(jnp.array([0.9, 0.1])), jnp.log(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(importance_weights(old, sampler, 2.0), [2.0, 0.5], rtol=1e-5)
    np.testing.assert_array_equal(importance_weights(old, sampler, None), [1, 1])
