"""Eqs. 3-5: from severities to rewards."""

import numpy as np
import pytest

from jaxerm.rewards import failed, scored, severity_rewards, unscored
from jaxerm.rewards.pixel import ink_overlap


def test_the_batch_maximum_is_taken_within_each_task():
    got = severity_rewards([0, 5, 10, 2, 4], ["svg", "svg", "svg", "chart", "chart"])
    np.testing.assert_allclose(got, [2, 1.5, 1, 1.5, 1], atol=1e-5)


def test_fixed_normaliser_is_clipped_at_render_success():
    assert severity_rewards([25, 80, 0], ["chart"] * 3, normaliser="fixed") == [1.5, 1.0, 2.0]


def test_a_batch_without_errors_is_worth_the_maximum():
    assert severity_rewards([0, 0], ["svg"] * 2) == [2.0, 2.0]


def test_no_severity_no_number():
    assert severity_rewards([None, 3], ["svg"] * 2)[0] is None


def test_without_the_render_term_only_the_verdict_is_left():
    assert severity_rewards([25], ["table"], normaliser="fixed", render_weight=0.0) == [0.5]


def test_failed_is_the_minimum_and_unscored_is_no_number():
    assert failed("syntax").value == 0.0 and failed("syntax").status == "failed"
    assert unscored("host").value is None and unscored("host").reason == "host"
    assert scored(1.5).value == 1.5 and scored(1.5).status == "scored"


def page(left, colour):
    image = np.full((10, 20, 3), 255, np.uint8)
    image[2:6, left : left + 4] = colour
    return image


def test_ink_overlap_counts_ink_and_not_paper():
    red = (255, 0, 0)
    assert ink_overlap(page(0, red), page(0, red)) == 1.0
    assert ink_overlap(page(1, red), page(9, red)) == 0.0
    assert ink_overlap(page(1, red), page(1, (0, 0, 255))) == 0.0
    assert ink_overlap(page(2, red), page(4, red)) == pytest.approx(8 / 24)
    assert ink_overlap(page(2, red), np.full((10, 20, 3), 255, np.uint8)) == 0.0


def test_ink_overlap_of_two_sizes():
    large = page(4, (255, 0, 0)).repeat(2, axis=0).repeat(2, axis=1)
    assert ink_overlap(page(4, (255, 0, 0)), large) > 0.7
