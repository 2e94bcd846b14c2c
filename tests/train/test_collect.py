"""What a step learns from: prompts in order, flat groups replaced, long answers penalised, a cursor that goes on."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.sources import open_source
from jaxerm.models.sampler import Generated
from jaxerm.prompts import fenced
from jaxerm.recipe import load_recipe
from jaxerm.train.collect import Collector, Interrupted
from jaxerm.train.scoring import make_scorer
from jaxerm.train.unfinished import Unfinished

NEW = 20
OTHER = '<svg viewBox="0 0 9 9"><rect width="9" height="3"/></svg>'
SOURCE = open_source("drawings", max_shapes=2, min_shapes=2, seed=4)


class Judge:
    """As severe as pictures are far apart."""

    def critiques(self, pairs, **_):
        wrong = [int((np.asarray(one) != np.asarray(two)).any()) for _, one, two in pairs]
        return [Critique("svg", (Discrepancy("style_error", 3, "differs", "center"),) * n) for n in wrong]


def collector_of(tmp_path, pool, monkeypatch, flat, lengths=(5, 5), **overrides):
    """A collector whose policy answers program `i` twice: exactly, and exactly again if flat(i), else badly."""
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
kind: grpo
policy: none
out: unused
steps: 3
prompts: brief
render: {{svg_size: 64}}
prompts_per_step: 2
mini_batch: 2
rollouts: 2
max_new_tokens: {NEW}
reward: {{model: none, normaliser: fixed, fixed: 6}}
data: {{mixture: [{{source: drawings, options: {{max_shapes: 2, min_shapes: 2, seed: 4}}}}]}}
"""
    )
    recipe = load_recipe(path, [f"{key}={value}" for key, value in overrides.items()])
    asked = []

    def sample(messages):
        image = next(part["image"] for part in messages[-1]["content"] if part["type"] == "image")
        return next(i for i, picture in enumerate(pictures) if np.array_equal(picture, image))

    def start(names, sampling, *, n, seed, first, **_):
        if first == 0 or not asked:
            asked.append((seed, []))
        asked[-1][1].extend(names)
        tokens = np.array([[2 * name + i] * NEW for name in names for i in range(n)])
        return Generated(
            tokens, np.zeros((len(tokens), NEW), np.float32), np.array(lengths * len(names)), np.ones(len(tokens), bool)
        )

    def text(generated):
        numbers = [int(row[0]) for row in generated.tokens]
        return [fenced(codes[i // 2] if i % 2 == 0 or flat(i // 2) else OTHER, "svg") for i in numbers]

    policy = SimpleNamespace(processor=SimpleNamespace(sample=sample), start=start, text=text)
    made = Collector(recipe, policy, make_scorer(recipe, pool, Judge()))
    codes = [made.programs[i].code for i in range(12)]
    pictures = [pool.render("svg", code).image for code in codes]
    assert pool.render("svg", OTHER).ok
    return made, asked


def test_prompts_come_in_order_and_every_round_draws_anew(tmp_path, pool, monkeypatch):
    made, asked = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: False)
    first = made.collect(1, None, 0)
    second = made.collect(2, None, first.cursor)
    assert [names for _, names in asked] == [[0, 1], [2, 3]]
    assert len({seed for seed, _ in asked}) == 2
    assert second.cursor == 4
    np.testing.assert_allclose(first.rewards, [2.0, 1.5] * 2, atol=1e-6)
    assert first.metrics["flat_groups"] == 0 and first.metrics["rounds"] == 1


def test_flat_groups_stay_where_no_refill_is_wished(tmp_path, pool, monkeypatch):
    made, _ = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: i == 0)
    got = made.collect(1, None, 0)
    assert sorted(got.rollouts.prompts) == [0, 1] and got.metrics["flat_groups"] == 0.5


def test_flat_groups_give_way_to_later_prompts(tmp_path, pool, monkeypatch):
    made, asked = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: i in (0, 1, 3), max_refills=3)
    got = made.collect(1, None, 0)
    assert [names for _, names in asked] == [[0, 1], [2, 3], [4, 5]]
    assert len({seed for seed, _ in asked}) == 3
    assert got.rollouts.prompts == [2, 4] and got.cursor == 6
    # Answers, tokens, attempts and rewards all moved along with their prompts.
    np.testing.assert_array_equal(got.rollouts.generated.tokens[:, 0], [4, 5, 8, 9])
    np.testing.assert_allclose(got.rewards, [2.0, 1.5] * 2, atol=1e-6)
    assert [attempt.text for attempt in got.attempts] == got.rollouts.texts
    assert got.attempts[2].code == made.programs[4].code
    assert got.metrics["flat_groups"] == 0.5 and got.metrics["rounds"] == 3


def test_when_the_rounds_are_over_flat_groups_fill_the_step(tmp_path, pool, monkeypatch):
    made, asked = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: i != 2, max_refills=1)
    got = made.collect(1, None, 0)
    assert len(asked) == 2 and got.rollouts.prompts == [2, 0]


def test_long_answers_lose_reward(tmp_path, pool, monkeypatch):
    made, _ = collector_of(
        tmp_path,
        pool,
        monkeypatch,
        flat=lambda i: True,
        lengths=(10, 15),
        overlong_buffer=10,
        overlong_penalty=0.5,
    )
    np.testing.assert_allclose(made.collect(1, None, 0).rewards, [2.0, 1.75] * 2, atol=1e-6)


def test_a_source_that_never_renders_is_named(tmp_path, pool, monkeypatch):
    made, _ = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: True)

    class Broken:
        def submit(self, task, code):
            return pool.submit("svg", "<svg><broken")

    made.pool = Broken()
    with pytest.raises(
        ValueError, match=r"40 references in a row cannot be used; the last: drawing-4-\d+ does not render"
    ):
        made.collect(1, None, 0)


def test_a_step_in_parts_is_the_step_at_once(tmp_path, pool, monkeypatch):
    whole, _ = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: False, prompts_per_step=4)
    parts, asked = collector_of(
        tmp_path, pool, monkeypatch, flat=lambda i: False, prompts_per_step=4, rollout_prompts=1
    )
    one, two = whole.collect(1, None, 0), parts.collect(1, None, 0)
    assert asked[0][1] == [0, 1, 2, 3]
    assert one.rewards == two.rewards and one.rollouts.texts == two.rollouts.texts
    np.testing.assert_array_equal(one.rollouts.generated.tokens, two.rollouts.generated.tokens)


def test_a_step_left_in_the_middle_goes_on_with_what_was_generated(tmp_path, pool, monkeypatch):
    settings = {"prompts_per_step": 4, "rollout_prompts": 1}
    whole, _ = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: False, **settings)
    left, _ = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: False, **settings)
    left.stopping = lambda: len(left.generated) == 3
    with pytest.raises(Interrupted):
        left.collect(5, None, 0)
    unfinished = Unfinished(tmp_path / "unfinished.npz")
    unfinished.save(5, left.generated)
    again, asked = collector_of(tmp_path, pool, monkeypatch, flat=lambda i: False, **settings)
    assert unfinished.load(4) == [] and unfinished.load(6) == []
    again.pending = unfinished.load(5)
    got, expected = again.collect(5, None, 0), whole.collect(5, None, 0)
    assert [names for _, names in asked] == [[3]], "three of four parts were there"
    assert got.rewards == expected.rewards and got.rollouts.texts == expected.rollouts.texts
    np.testing.assert_array_equal(got.rollouts.generated.log_probs, expected.rollouts.generated.log_probs)
