"""F1 of (category, location) and correlation of severities."""

import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.eval.critiques import critique_scores


def said(*errors):
    return Critique("svg", tuple(Discrepancy(category, severity, "", where) for category, where, severity in errors))


TRUTH = [said(("style_error", "top", 2), ("shape_error", "left", 1)), said(), said(("style_error", "top", 3))]


def test_the_truth_scores_one():
    got = critique_scores(TRUTH, TRUTH)
    assert got["f1"] == got["precision"] == got["recall"] == got["exact"] == 1
    assert got["severity_correlation"] == pytest.approx(1)


def test_matching_is_one_to_one_and_pooled():
    twice = said(("style_error", "top", 2), ("style_error", "top", 2))
    got = critique_scores([twice, said(("style_error", "top", 1)), TRUTH[2]], TRUTH)
    # 2 of 4 predicted are right, 2 of 3 true ones are found.
    assert (got["precision"], got["recall"]) == (pytest.approx(2 / 4), pytest.approx(2 / 3))
    assert got["f1"] == pytest.approx(4 / 7)


def test_category_or_location_alone_is_not_enough():
    got = critique_scores([said(("style_error", "left", 2)), said(), said(("shape_error", "top", 3))], TRUTH)
    assert got["f1"] == 0
    assert got["severity_correlation"] > 0


def test_unreadable_counts_as_nothing_found():
    got = critique_scores([None, None, None], TRUTH)
    assert got["f1"] == got["recall"] == got["readable"] == got["severity_correlation"] == got["exact"] == 0


def test_a_wrong_severity_is_not_exact():
    assert critique_scores([said(("style_error", "top", 1))], [TRUTH[2]])["exact"] == 0
