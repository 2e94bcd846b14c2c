"""The arithmetic of GRPO: against numbers worked out by hand, and against plain NumPy in float64, gradients too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxerm.train.policy_gradient import (
    KL_ESTIMATORS,
    aggregate,
    cispo_surrogate,
    clipped_surrogate,
    group_advantages,
    importance_weights,
    likelihood_ratio,
    overlong_penalty,
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


def test_unknown_names_are_named():
    zeros = jnp.zeros((1, 1))
    with pytest.raises(ValueError, match="gae"):
        group_advantages([1, 2], 2, "gae")
    with pytest.raises(ValueError, match="word"):
        likelihood_ratio(zeros, zeros, zeros, "word")
    with pytest.raises(ValueError, match="median"):
        aggregate(zeros, zeros, "median", 1)


def test_clipping_is_pessimistic_on_both_sides():
    ratio = jnp.array([[1.5], [1.5], [0.5], [0.5]])
    surrogate, clipped = clipped_surrogate(ratio, jnp.array([1.0, -1.0, 1.0, -1.0]), 0.2, 0.3)
    np.testing.assert_allclose(surrogate[:, 0], [1.3, -1.5, 0.5, -0.8], rtol=1e-6)
    np.testing.assert_array_equal(clipped[:, 0], [True, False, False, True])


def test_the_second_clip_bounds_what_a_bad_answer_costs():
    ratio = jnp.array([[9.0], [9.0], [2.0]])
    surrogate, clipped = clipped_surrogate(ratio, jnp.array([1.0, -1.0, -1.0]), 0.2, 0.2, 3.0)
    np.testing.assert_allclose(surrogate[:, 0], [1.2, -3.0, -2.0], rtol=1e-6)
    np.testing.assert_array_equal(clipped[:, 0], [True, True, False])


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
    old, sampler = jnp.log(jnp.array([[0.9, 0.1, 1.0]])), jnp.log(jnp.array([[0.1, 0.2, 1e-30]]))
    mask = jnp.array([[1, 1, 0]])
    np.testing.assert_allclose(importance_weights(old, sampler, mask, 2.0), [[2.0, 0.5, 1.0]], rtol=1e-5)
    np.testing.assert_array_equal(importance_weights(old, sampler, mask, None), [[1, 1, 1]])


def test_long_answers_pay_more_and_more():
    np.testing.assert_allclose(overlong_penalty(np.array([10, 80, 85, 100]), 100, 20), [0, 0, -0.25, -1])
    np.testing.assert_array_equal(overlong_penalty(np.array([100]), 100, 0), [0])


# The whole loss once more in plain NumPy, answer by answer and token by token.

ROWS, TOKENS, LONGEST = 5, 7, 9


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(3)
    lengths = [7, 4, 1, 5, 0]
    mask = np.array([[float(t < n) for t in range(TOKENS)] for n in lengths])
    old = rng.normal(-2, 0.5, (ROWS, TOKENS))
    return {
        "now": old + rng.normal(0, 0.5, (ROWS, TOKENS)),
        "old": old,
        "reference": old + rng.normal(0, 0.3, (ROWS, TOKENS)),
        "mask": mask,
        "advantages": np.array([1.2, -0.8, 0.5, -1.5, 1.0]),
    }


def plain_loss(now, case, ratio, surrogate, dual_clip, estimator, aggregation, frozen=None):
    """Loops and scalars alone. `frozen`: log-probs at which what has no gradient is taken."""
    frozen = now if frozen is None else frozen
    low, high = 0.3, 0.4
    rows = []
    for row in range(ROWS):
        tokens = [t for t in range(TOKENS) if case["mask"][row, t]]
        if not tokens:
            continue
        advantage, values = case["advantages"][row], []
        for t in tokens:

            def ratio_of(log_probs, row=row, t=t, tokens=tokens):
                if ratio == "token":
                    return np.exp(log_probs[row, t] - case["old"][row, t])
                return np.exp(sum(log_probs[row, u] - case["old"][row, u] for u in tokens) / len(tokens))

            if surrogate == "cispo":
                gain = min(max(ratio_of(frozen), 1 - low), 1 + high) * advantage * now[row, t]
            else:
                r = ratio_of(now)
                gain = min(r * advantage, min(max(r, 1 - low), 1 + high) * advantage)
                if dual_clip is not None and advantage < 0:
                    gain = max(gain, dual_clip * advantage)
            d = case["reference"][row, t] - now[row, t]
            kl = {"k1": -d, "k2": d * d / 2, "k3": np.exp(d) - d - 1}[estimator]
            values.append(-gain + 0.1 * kl)
        rows.append(values)
    if aggregation == "token_mean":
        return sum(map(sum, rows)) / sum(map(len, rows))
    if aggregation == "sequence_mean":
        return sum(sum(values) / len(values) for values in rows) / len(rows)
    return sum(map(sum, rows)) / LONGEST / len(rows)


def jax_loss(now, case, ratio, surrogate, dual_clip, estimator, aggregation):
    mask, advantages = jnp.asarray(case["mask"]), jnp.asarray(case["advantages"])
    ratios = likelihood_ratio(now, jnp.asarray(case["old"]), mask, ratio)
    if surrogate == "cispo":
        gain, _ = cispo_surrogate(ratios, now, advantages, 0.3, 0.4)
    else:
        gain, _ = clipped_surrogate(ratios, advantages, 0.3, 0.4, dual_clip)
    kl = KL_ESTIMATORS[estimator](jnp.where(mask > 0, jnp.asarray(case["reference"]) - now, 0.0))
    return aggregate(0.1 * kl - gain, mask, aggregation, LONGEST)


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "sequence_sum"])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize(
    ("ratio", "surrogate", "dual_clip"),
    [("token", "clip", None), ("token", "clip", 1.2), ("sequence", "clip", None), ("token", "cispo", None)],
)
def test_loss_and_gradient_equal_the_formula(case, ratio, surrogate, dual_clip, estimator, aggregation):
    options = ratio, surrogate, dual_clip, estimator, aggregation
    now = case["now"]
    with jax.enable_x64(True):
        loss, gradient = jax.value_and_grad(jax_loss)(jnp.asarray(now), case, *options)
        loss, gradient = float(loss), np.asarray(gradient)
    assert loss == pytest.approx(plain_loss(now, case, *options), rel=1e-10)
    step = 1e-6
    for row in range(ROWS):
        for t in range(TOKENS):
            moved = [now.copy(), now.copy()]
            moved[0][row, t] += step
            moved[1][row, t] -= step
            up, down = (plain_loss(one, case, *options, frozen=now) for one in moved)
            assert gradient[row, t] == pytest.approx((up - down) / (2 * step), abs=1e-7)


def test_the_case_has_what_it_tests(case):
    """Both clips, the second clip and the free middle all occur."""
    mask = case["mask"] > 0
    ratio = np.exp(case["now"] - case["old"])
    negative = (case["advantages"] < 0)[:, None]
    assert (mask & (ratio > 1.4) & ~negative).any() and (mask & (ratio < 0.7) & negative).any()
    assert (mask & (ratio > 1.2) & negative).any() and (mask & (ratio > 0.7) & (ratio < 1.4)).any()
