"""How rewards are added up: weights, faults told apart, equal attempts scored once, a batch scored in parts."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from jaxerm.critique import Critique, CritiqueError, Discrepancy
from jaxerm.render import RenderError, RenderResult
from jaxerm.rewards import Attempt, Part, Reward, Scorer, SeverityReward, failed, scored, skipped, unscored
from jaxerm.rewards.code import Length, RenderSuccess
from jaxerm.rewards.metrics import reward_metrics
from jaxerm.rewards.registry import check_rewards, make_parts

WHITE = np.full((8, 8, 3), 255, np.uint8)
BLACK = np.zeros((8, 8, 3), np.uint8)


class Pool:
    """Renders nothing; code that says so breaks, or finds the host broken. Remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def submit(self, task, code):
        self.asked.append(code)
        kind = "syntax" if "broken" in code else "infrastructure" if "host" in code else None
        error = RenderError(kind, "it said so") if kind else None
        future = Future()
        future.set_result(RenderResult(None if error else WHITE, error, 0.0, "", ""))
        return future


class Says(Reward):
    """Gives every attempt what the function says."""

    def __init__(self, function, name="says", key=None):
        self.function, self.name, self.seen, self._key = function, name, [], key

    def key(self, attempt):
        return self._key(attempt) if self._key else None

    def __call__(self, attempts, *, seed=0):
        self.seen += attempts
        return [self.function(attempt) for attempt in attempts]


class Judge:
    """Finds as many errors as the code has capital letters; remembers how often it was asked."""

    def __init__(self):
        self.asked, self.codes = 0, []

    def critiques(self, pairs, **_):
        self.asked += len(pairs)
        return [self.found(task, attempt) for task, _, attempt in pairs]

    def found(self, task, attempt):
        return Critique(task, (Discrepancy("style_error", 1, "", "center"),) * int(attempt[0, 0, 0] // 51))


def svg(inside):
    return f"```svg\n<svg>{inside}</svg>\n```"


def attempts(*texts, reference=WHITE, **columns):
    return [Attempt("svg", reference, text, columns=columns) for text in texts]


def scorer(*parts):
    return Scorer(Pool(), [part if isinstance(part, Part) else Part(part) for part in parts])


def test_the_reward_is_the_weighted_sum_of_its_parts():
    made = scorer(Part(Says(lambda a: scored(0.5), "one"), 2.0), Part(Says(lambda a: scored(0.25), "two"), -1.0))
    [got] = made.score(attempts(svg("a")))
    assert got.reward.value == 0.75 and got.reward.status == "scored"
    assert got.reward.parts == {"one": 0.5, "two": 0.25}


def test_one_part_without_a_score_leaves_the_attempt_without_one():
    made = scorer(Says(lambda a: scored(1.0), "one"), Says(lambda a: unscored("no answer"), "two"))
    [got] = made.score(attempts(svg("a")))
    assert got.reward.status == "unscored" and got.reward.value is None
    assert got.reward.reason == "two: no answer" and got.reward.parts == {"one": 1.0}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_reward(number):
    [got] = scorer(Says(lambda a: scored(number))).score(attempts(svg("a")))
    assert got.reward.status == "unscored" and str(number) in got.reward.reason


def test_a_part_that_failed_makes_the_attempt_failed_and_the_rest_still_counts():
    made = scorer(Says(lambda a: failed("bad", -1.0), "one"), Says(lambda a: scored(0.5), "two"))
    [got] = made.score(attempts(svg("a")))
    assert (got.reward.status, got.reward.value, got.reward.reason) == ("failed", -0.5, "bad")


def test_a_part_that_is_only_watched_decides_nothing():
    made = scorer(Says(lambda a: scored(1.0), "one"), Part(Says(lambda a: unscored("down"), "two"), 0.0))
    [got] = made.score(attempts(svg("a")))
    assert (got.reward.status, got.reward.value) == ("scored", 1.0)


def test_a_part_speaks_of_its_tasks_only():
    tables = Says(lambda a: scored(0.5), "tables")
    made = scorer(Part(tables, tasks=("table",)), Says(lambda a: scored(1.0), "all"))
    [svg_, table] = made.score([*attempts(svg("a")), Attempt("table", WHITE, "<table><tr><td>1</td></tr></table>")])
    assert (svg_.reward.value, table.reward.value) == (1.0, 1.5)
    assert [a.task for a in tables.seen] == ["table"] and "tables" not in svg_.reward.parts


def test_where_no_part_applies_there_is_no_score():
    [got] = scorer(Says(lambda a: skipped("not mine"))).score(attempts(svg("a")))
    assert got.reward.status == "unscored"


def test_faults_of_the_policy_and_of_the_host_are_told_apart():
    made = scorer(RenderSuccess())
    got = made.score(attempts(svg("fine"), "no code", svg("broken"), svg("host")))
    assert [a.reward.status for a in got] == ["scored", "failed", "failed", "unscored"]
    assert [a.reward.value for a in got] == [1.0, 0.0, 0.0, None]
    assert got[0].image is not None and got[2].image is None
    metrics = reward_metrics(got)
    assert (metrics["failed"], metrics["unscored"], metrics["render_rate"]) == (2, 1, 0.25)
    assert metrics["rewards/render_success/mean"] == pytest.approx(1 / 3)


def test_equal_pairs_are_rendered_and_scored_once_and_equal_code_is_rendered_once():
    by_pair = Says(lambda a: scored(0.0), "by_pair", key=lambda a: a.pair)
    by_text = Says(lambda a: scored(0.0), "by_text")
    made = scorer(by_pair, by_text)
    batch = made.begin()
    first = batch.measure(attempts(svg("a"), svg("a"), "words " + svg("a"), svg("b")))
    second = batch.measure(attempts(svg("b"), svg("c")) + attempts(svg("a"), reference=BLACK))
    assert len(batch.settle([*first, *second])) == 7
    assert sorted(a.code for a in by_pair.seen) == [f"<svg>{x}</svg>" for x in "aabc"]
    assert len(by_text.seen) == 7
    assert sorted(made.pool.asked) == [f"<svg>{x}</svg>" for x in "abc"]


def test_another_batch_scores_anew():
    reward = Says(lambda a: scored(0.0), key=lambda a: a.pair)
    made = scorer(reward)
    for _ in range(2):
        made.score(attempts(svg("a")))
    assert len(reward.seen) == 2


def test_the_largest_severity_is_that_of_the_whole_batch_however_it_is_cut():
    class Drawn(Pool):
        def submit(self, task, code):
            future = Future()
            future.set_result(RenderResult(np.full((4, 4, 3), 51 * int(code[5]), np.uint8), None, 0.0, "", ""))
            return future

    texts = [svg(number) for number in (0, 1, 4, 2)]
    made = Scorer(Drawn(), [Part(SeverityReward(Judge())), Part(RenderSuccess())])
    whole = [a.reward.value for a in made.score(attempts(*texts))]
    np.testing.assert_allclose(whole, [2, 1.75, 1, 1.5], atol=1e-6)
    batch = made.begin()
    measured = [*batch.measure(attempts(*texts[:2]), 0), *batch.measure(attempts(*texts[2:]), 1)]
    assert [a.reward.value for a in batch.settle(measured)] == whole


def test_parts_may_be_measured_at_once_and_each_pair_is_still_scored_once():
    gate = threading.Barrier(2, timeout=20)

    def slow(attempt):
        if attempt.code == "<svg>own</svg>":
            gate.wait()  # both threads are inside before either goes on
        return scored(float(len(attempt.code)))

    reward = Says(slow, key=lambda a: (a.pair, a.prompt))
    batch = scorer(reward).begin()
    lots = [
        [Attempt("svg", WHITE, svg("own"), prompt=str(number)), *attempts(svg("shared"), svg(f"x{number}"))]
        for number in range(2)
    ]
    with ThreadPoolExecutor(2) as threads:
        measured = [one for lot in threads.map(batch.measure, lots) for one in lot]
    values = [a.reward.value for a in batch.settle(measured)]
    assert values == [len(f"<svg>{x}</svg>") for x in ("own", "shared", "x0", "own", "shared", "x1")]
    assert [a.code for a in reward.seen].count("<svg>shared</svg>") == 1


def test_a_bug_in_a_reward_reaches_everybody_who_waits_for_it():
    def breaks(attempt):
        raise ZeroDivisionError("a bug")

    batch = scorer(Says(breaks, key=lambda a: a.pair)).begin()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            batch.measure(attempts(svg("a")))


def test_an_unreadable_critique_is_unscored():
    class Unreadable(Judge):
        def found(self, task, attempt):
            return CritiqueError("no JSON")

    [got, broken] = scorer(SeverityReward(Unreadable())).score(attempts(svg("a"), svg("broken")))
    assert got.reward.reason == "visual_erm: unreadable critique: no JSON" and got.reward.value is None
    assert broken.reward.status == "failed"


def test_a_render_nobody_can_look_at_is_the_policys_fault():
    class Narrow(Pool):
        def submit(self, task, code):
            future = Future()
            future.set_result(RenderResult(np.zeros((1, 201, 3), np.uint8), None, 0.0, "", ""))
            return future

    judge = Judge()
    [got] = Scorer(Narrow(), [Part(SeverityReward(judge))]).score(attempts(svg("a")))
    assert got.reward.status == "failed" and "1 x 201 pixels" in got.reward.reason and judge.asked == 0


def test_code_longer_than_its_target_loses_reward():
    made = scorer(Length())
    texts = [svg("x" * n) for n in (9, 29, 49, 99_999)]  # 20, 40, 60 characters with the tags
    got = made.score(attempts(*texts, code="y" * 40))
    np.testing.assert_allclose([a.reward.value for a in got], [1.0, 0.75, 0.0, -1.0])
    assert scorer(Length()).score(attempts(texts[0]))[0].reward.status == "unscored"
    assert scorer(Length(target=40)).score(attempts(texts[1]))[0].reward.value == 0.75


def spec(name, **more):
    return SimpleNamespace(**{"name": name, "weight": 1.0, "tasks": None, "label": None, "options": {}} | more)


def test_rewards_are_found_by_name_and_carry_their_label():
    parts = make_parts([spec("length", label="short", weight=0.1, tasks=["svg"], options={"target": 5})])
    assert parts[0].reward.name == "short" and parts[0].reward.target == 5
    assert (parts[0].weight, parts[0].tasks) == (0.1, ("svg",))
    with pytest.raises(ValueError, match="no reward 'lenght'; did you mean 'length'"):
        make_parts([spec("lenght")])
    check_rewards([spec("visual_erm"), spec("length")])
    with pytest.raises(ValueError, match="no reward 'visual_em'; did you mean 'visual_erm'"):
        check_rewards([spec("visual_em")])
    with pytest.raises(ValueError, match="reward 'length': .*unexpected keyword argument 'tokens'"):
        make_parts([spec("length", options={"tokens": 5})])


def test_two_rewards_of_one_name_need_a_label():
    with pytest.raises(ValueError, match="two rewards are called 'length'"):
        Scorer(Pool(), make_parts([spec("length"), spec("length")]))
