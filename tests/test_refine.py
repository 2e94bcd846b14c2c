"""Reflection and revision, with a scripted policy and judge: what is asked, when it stops, what is kept."""

import numpy as np
import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.models.sampler import Sampling
from jaxerm.refine import Refiner

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="32" r="20" fill="{}"/></svg>'


class Script:
    """Stands in for a policy: says its lines in turn and keeps what it was asked."""

    settings = {"prompts": "brief", "max_new_tokens": 8}

    def __init__(self, *lines):
        self.lines, self.asked = list(lines), []
        self.processor = self

    def sample(self, messages):
        self.asked.append(messages[0]["content"][-1]["text"])
        return messages

    def answer(self, samples, sampling, **_):
        return [self.lines.pop(0) for _ in samples]

    def text(self, generated):
        return generated


class Judge:
    """Severity by colour."""

    severities = {"red": 0, "orange": 1, "blue": 3}

    def critiques(self, pairs, **_):
        out = []
        for task, _, image in pairs:
            r, g, b = image[32, 32]
            severity = 3 if b > 200 else 1 if g > 100 else 0
            errors = (Discrepancy("style_error", severity, "wrong colour", "center"),) if severity else ()
            out.append(Critique(task, errors))
        return out


def answer(colour):
    return f"```svg\n{SVG.format(colour)}\n```"


@pytest.fixture(scope="module")
def reference(pool):
    return pool.render("svg", SVG.format("red")).image


def refine(pool, reference, *lines, rounds=3, **options):
    policy = Script(*lines)
    return Refiner(policy, Judge(), pool, rounds=rounds, **options).refine([("svg", reference)])[0], policy


def test_a_perfect_draft_is_left_alone(pool, reference):
    result, policy = refine(pool, reference, answer("red"))
    assert len(result.rounds) == 1 and result.kept == 0 and result.best.reward.value == 2.0


def test_a_revision_sees_the_draft_and_its_critique(pool, reference):
    result, policy = refine(pool, reference, answer("blue"), answer("red"))
    assert result.kept == 1 and len(result.rounds) == 2
    assert 'fill="blue"' in policy.asked[1]
    assert "style_error 3 center: wrong colour" in policy.asked[1]


def test_a_worse_revision_is_not_kept_and_not_built_on(pool, reference):
    result, policy = refine(pool, reference, answer("orange"), answer("blue"), answer("orange"), rounds=2)
    assert result.kept == 0
    assert 'fill="orange"' in policy.asked[2]


def test_rounds_end(pool, reference):
    result, _ = refine(pool, reference, *[answer("blue")] * 4)
    assert len(result.rounds) == 4


def test_a_draft_that_does_not_render_is_drafted_again(pool, reference):
    result, policy = refine(pool, reference, "sorry", answer("red"))
    assert policy.asked[0] == policy.asked[1] == "svg: write the code"
    assert [a.reward.status for a in result.rounds] == ["failed", "scored"] and result.kept == 1


def test_a_second_draft_is_drawn_and_not_decoded_greedily(pool, reference):
    seen = []

    class Watching(Script):
        def answer(self, samples, sampling, **options):
            seen.append(sampling.temperature)
            return super().answer(samples, sampling)

    policy = Watching("sorry", "sorry", answer("red"))
    Refiner(policy, Judge(), pool, sampling=Sampling(0.0)).refine([("svg", reference)])
    assert seen[0] == 0 and min(seen[1:]) > 0


def test_the_threshold_decides_who_is_revised(pool, reference):
    policy = Script(answer("orange"), answer("blue"), answer("red"))
    results = Refiner(policy, Judge(), pool, threshold=1.95, rounds=1).refine([("svg", reference)] * 2)
    # S = 1 of 50 is worth 1.98: good enough; S = 3 is worth 1.94.
    assert [len(result.rounds) for result in results] == [1, 2]
    assert np.array_equal(results[1].best.image, reference)


def test_a_gain_within_the_judges_noise_replaces_nothing(pool, reference):
    """Blue to orange is two points of severity of fifty: 0.04."""
    for gain, kept in ((0.03, 1), (0.05, 0)):
        result, policy = refine(
            pool, reference, answer("blue"), answer("orange"), answer("blue"), rounds=2, min_gain=gain
        )
        assert result.kept == kept
        assert ("orange" if kept else "blue") in policy.asked[2]
    failed, _ = refine(pool, reference, "nothing", answer("blue"), rounds=1, min_gain=0.5)
    assert failed.kept == 1
