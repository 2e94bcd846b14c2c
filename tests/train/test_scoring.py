"""From the `rewards` of a recipe to what an answer is worth."""

import numpy as np
import pytest

from jaxerm.critique import Critique
from jaxerm.recipe import load_recipe
from jaxerm.render import RenderResult
from jaxerm.rewards import Attempt, SeverityReward
from jaxerm.rewards.remote import RemoteERM
from jaxerm.train.scoring import make_judge, make_scorer

PAPER = """
kind: grpo
policy: none
out: unused
steps: 3
reward:
  {model: none, url: "http://127.0.0.1:9/v1", normaliser: fixed, fixed: 7, max_new_tokens: 11, rows: 3, retries: 1}
data: {mixture: [{source: drawings}]}
"""
WHITE = np.full((16, 16, 3), 255, np.uint8)


class Pool:
    """Draws a white page, whatever it is asked."""

    def submit(self, task, code):
        from concurrent.futures import Future

        future = Future()
        future.set_result(RenderResult(WHITE, None, 0.0, "", ""))
        return future


@pytest.fixture
def recipe(tmp_path):
    def load(*overrides):
        path = tmp_path / "recipe.yaml"
        path.write_text(PAPER)
        return load_recipe(path, overrides)

    return load


def test_left_out_it_is_the_papers_reward(recipe):
    class Content:
        def critiques(self, pairs, **_):
            return [Critique(task) for task, _, _ in pairs]

    scorer = make_scorer(recipe(), Pool(), Content())
    severity, rendered = scorer.parts
    assert isinstance(severity.reward, SeverityReward) and (severity.weight, rendered.weight) == (1.0, 1.0)
    assert (severity.reward.normaliser, severity.reward.fixed) == ("fixed", 7.0)
    [got] = scorer.score([Attempt("svg", WHITE, "```svg\n<svg/>\n```")])
    assert got.reward.value == 2.0 and got.reward.parts == {"visual_erm": 1.0, "render_success": 1.0}


def test_a_list_of_rewards_needs_no_reward_model_unless_it_asks_one(recipe, tmp_path, monkeypatch):
    (tmp_path / "my_scoring_rewards.py").write_text(
        "def tidy(completions, code, **kwargs):\n    return [float(len(c)) for c in code]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rewards = "[{name: pixel, weight: 2}, {name: 'my_scoring_rewards:tidy', weight: 0.5, tasks: [svg]}]"
    scorer = make_scorer(recipe("reward=null", f"rewards={rewards}"), Pool())
    attempts = [
        Attempt("svg", WHITE, "```svg\n<svg/>\n```", columns={"code": "four"}),
        Attempt("chart", WHITE, "```python\nplot\n```", columns={"code": "four"}),
    ]
    assert [a.reward.value for a in scorer.score(attempts)] == pytest.approx([4.0, 2.0])


def test_at_an_address_the_recipes_settings_are_sent_along(recipe):
    judge = make_judge(recipe())
    assert isinstance(judge, RemoteERM) and judge.chat.model == "none" and judge.chat.url == "http://127.0.0.1:9/v1"
    assert (judge.max_new_tokens, judge.threads, judge.retries) == (11, 3, 1)
    assert judge.sampling == {"temperature": 0.7, "top_p": 0.8, "top_k": 20}
