"""A user's own function: three signatures, what it is given, and what becomes of what it raises."""

import numpy as np
import pytest

from jaxerm.rewards import Attempt, failed
from jaxerm.rewards.function import FunctionReward, load_function
from jaxerm.rewards.registry import make_reward

WHITE = np.full((8, 8, 3), 255, np.uint8)
ROWS = [
    {"code": "<svg/>", "answer": "four", "reward_model": {"ground_truth": "4"}, "data_source": "sums"},
    {"code": "<svg/>", "answer": "five", "extra_info": {"level": 2}},
]
ATTEMPTS = [
    Attempt("svg", WHITE, text, prompt=f"draw {number}", columns=row, tokens=np.arange(number + 1))
    for number, (text, row) in enumerate(zip(["four it is", "no idea"], ROWS, strict=True))
]


def ask(function, **options):
    return FunctionReward(function, "mine", **options)(ATTEMPTS)


def values(results):
    return [(result.status, result.value) for result in results]


def test_trls_signature_gets_conversations_columns_and_tokens():
    def f(prompts, completions, answer, completion_ids, task, **kwargs):
        assert prompts[1] == [{"role": "user", "content": "draw 1"}] and task == ["svg", "svg"]
        assert kwargs["data_source"] == ["sums", None] and [len(ids) for ids in completion_ids] == [1, 2]
        return [float(word in completion[0]["content"]) for word, completion in zip(answer, completions, strict=True)]

    assert values(ask(f)) == [("scored", 1.0), ("scored", 0.0)]


def test_in_trls_signature_none_leaves_the_reward_out():
    assert values(ask(lambda completions: [None, 0.5])) == [("skipped", None), ("scored", 0.5)]


def test_verls_signature_gets_one_row_at_a_time():
    def f(data_source, solution_str, ground_truth, extra_info):
        return {"score": len(solution_str), "acc": (data_source, ground_truth, extra_info)[1] == "4"}

    assert values(ask(f)) == [("scored", 10.0), ("scored", 7.0)]
    seen = []

    def g(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
        seen.append((data_source, ground_truth, extra_info))
        return 0.5

    assert values(ask(g)) == [("scored", 0.5)] * 2
    assert seen == [("sums", "4", {}), ("svg", "<svg/>", {"level": 2})]


def test_our_own_signature_gets_all_there_is():
    def f(attempts):
        return [float(attempts[0].reference.mean()), failed("never")]

    assert values(ask(f)) == [("scored", 255.0), ("failed", 0.0)]


def test_a_coroutine_is_waited_for():
    async def f(completions, **kwargs):
        return [1.0, 2.0]

    assert values(ask(f)) == [("scored", 1.0), ("scored", 2.0)]


def test_what_a_function_raises_scores_nothing_and_is_told():
    def f(completions):
        raise KeyError("answer")

    results = ask(f)
    assert values(results) == [("unscored", None)] * 2 and results[0].reason == "KeyError: 'answer'"

    def g(data_source, solution_str, ground_truth, extra_info):
        return 1.0 / extra_info["level"]

    assert values(ask(g)) == [("unscored", None), ("scored", 0.5)]


@pytest.mark.parametrize(
    "answer, words",
    [([1.0], "1 rewards for 2 attempts"), (3, "not iterable"), (["a", "a"], "'a', which is no number"),
     ([float("nan")] * 2, "gave nan")],
)  # fmt: skip
def test_what_is_no_list_of_numbers_scores_nothing(answer, words):
    results = ask(lambda completions: answer)
    assert [result.status for result in results] == ["unscored"] * 2 and words in results[0].reason


def test_options_are_handed_on_and_the_signature_may_be_said():
    def f(**kwargs):
        return [kwargs["bonus"]] * len(kwargs["prompts"])

    assert values(ask(f, signature="trl", bonus=0.25)) == [("scored", 0.25)] * 2
    with pytest.raises(ValueError, match="reward 'mine' takes nothing by name"):
        ask(f)


def test_a_function_is_found_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "my_own_rewards.py").write_text("def shorter(completions, **kwargs):\n    return [1.0, 0.0]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    reward = make_reward("my_own_rewards:shorter", {}, {})
    assert reward.name == "shorter" and values(reward(ATTEMPTS)) == [("scored", 1.0), ("scored", 0.0)]
    with pytest.raises(ValueError, match="has no attribute 'longer'"):
        load_function("my_own_rewards:longer")
    with pytest.raises(ValueError, match="No module named 'no_such_rewards'"):
        load_function("no_such_rewards:f")
