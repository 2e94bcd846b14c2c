"""Watch-dogs: each rule barks when it should, once, and not a step earlier; their memory survives a checkpoint."""

import json
import math

import numpy as np
import pytest

from jaxerm.recipe_schema import Watching
from jaxerm.train.watch import RunStopped, Watch, noted


def barks(watch, rows):
    """(step, rule) of every alarm."""
    return [(step, alarm.rule) for step, row in enumerate(rows, 1) for alarm in watch.look(step, row)]


@pytest.mark.parametrize("metrics", [{"loss": math.nan}, {"loss": 1.0, "grad_norm": np.float32("inf")}])
def test_a_number_that_is_none_always_stops(metrics):
    (alarm,) = Watch(Watching(stop=[])).look(7, metrics)
    assert alarm.stop and alarm.rule == "nonfinite"


def test_a_good_run_is_left_alone():
    good = {
        "loss": -0.1,
        "grad_norm": 3.0,
        "reward": 1.0,
        "kl": 0.1,
        "unscored": 1,
        "flat_groups": 0.5,
        "render_rate": 1,
    }
    assert barks(Watch(Watching(), answers=8), [good] * 100) == []
    assert barks(Watch(Watching()), [{"loss": 1.0}] * 3) == []


def test_a_mean_reward_below_its_share_of_the_best_is_a_collapse():
    watch = Watch(Watching(window=2, reward_collapse=0.5))
    rewards = [0.0, 2.0, 2.0, 1.2, 0.9, 0.9, 0.9, 2.0, 2.0, 0.0, 0.0]
    # Means of two: 1, 2, 1.6, 1.05, 0.9: below half of 2 at step 6; told once, and anew after a recovery.
    assert barks(watch, [{"reward": r} for r in rewards]) == [(6, "reward_collapse"), (11, "reward_collapse")]


def test_rewards_below_zero_collapse_downwards():
    watch = Watch(Watching(window=1, reward_collapse=0.5))
    assert barks(watch, [{"reward": r} for r in (-2.0, -1.0, -1.4, -1.6)]) == [(1 + 3, "reward_collapse")]


def test_missing_rewards_are_no_rewards_of_zero():
    watch = Watch(Watching(window=1))
    assert barks(watch, [{"reward": 1.0}, {"reward": math.nan}, {}]) == []


def test_rendering_collapses_by_itself():
    watch = Watch(Watching(window=1, render_collapse=0.8))
    assert barks(watch, [{"render_rate": r, "reward": 1.0} for r in (1.0, 0.81, 0.79)]) == [(3, "render_collapse")]


def test_flat_groups_count_in_a_row():
    watch = Watch(Watching(flat_groups=3))
    assert barks(watch, [{"flat_groups": f} for f in (1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0)]) == [(6, "flat_groups")]


def test_the_kl_has_a_limit_of_one_step():
    assert barks(Watch(Watching(kl=0.5)), [{"kl": 0.5}, {"kl": 0.6}]) == [(2, "kl")]


def test_the_unscored_share_is_one_of_the_whole_window():
    """A reward model that is away for a step, or comes back, ends nothing; one that stays away does."""
    watch = Watch(Watching(window=3, unscored=0.5, stop=[]), answers=8)
    assert barks(watch, [{"unscored": n} for n in (8, 8, 0, 0, 8, 4, 0, 8, 8, 8)]) == [(3, "unscored"), (9, "unscored")]
    assert barks(Watch(Watching(window=3), answers=8), [{"unscored": n} for n in (8, 4, 0, 8)]) == []


def test_null_turns_a_rule_off():
    off = Watching(kl=None, unscored=None, flat_groups=None, reward_collapse=None, render_collapse=None, window=1)
    worst = {"kl": 1e9, "unscored": 8, "flat_groups": 1.0, "render_rate": 0.0}
    assert barks(Watch(off, answers=8), [{**worst, "reward": r} for r in (1.0, -9.0)]) == []


def test_the_memory_goes_through_a_checkpoint():
    rows = [{"reward": r, "flat_groups": 1.0, "kl": 20.0} for r in (0.0, 2.0, 2.0, 1.2, 0.9, 0.9, 0.9)]
    recipe = Watching(window=2, flat_groups=5)
    whole = barks(Watch(recipe), rows)
    assert len(whole) == 3
    for at in range(len(rows)):
        first, second = Watch(recipe), Watch(recipe)
        got = barks(first, rows[:at])
        second.load(json.loads(json.dumps(first.state())))
        got += [(step, a.rule) for step, row in enumerate(rows[at:], at + 1) for a in second.look(step, row)]
        assert got == whole


def test_a_warning_is_said_and_a_stop_says_where_to_go_on(tmp_path):
    watch, said = Watch(Watching(window=1, kl=1.0, stop=["kl"], unscored=0.1), answers=4), []
    alarms = watch.look(9, {"kl": 2.0, "unscored": 1})
    assert noted(alarms) == {"alarms": [a.text for a in alarms]} and noted([]) == {}
    for name in ("4", "12", "16.orbax-checkpoint-tmp", "notes"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    with pytest.raises(RunStopped, match=r"stopped at step 9: the KL .* 2 \(watch.kl = 1\).*checkpoints/12: .*step 12"):
        watch.act(9, alarms, tmp_path, said.append)
    assert len(said) == 1 and "0.25 have no score" in said[0]
    with pytest.raises(RunStopped, match="no checkpoint yet"):
        watch.act(9, alarms, tmp_path / "new", said.append)
