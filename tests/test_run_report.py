"""The report of a run folder: what lies in it is shown, and two runs lie side by side."""

import json
import re

import numpy as np
import pytest
import yaml

from jaxerm.critique import Critique, Discrepancy
from jaxerm.render import RenderResult
from jaxerm.report import TimeLine, run_report, write_rollouts_page
from jaxerm.report.bars import lanes, stacked_bars
from jaxerm.report.page import render_report
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.result import RewardResult, failed
from jaxerm.train.dump import dump_rollouts, dump_timeline, show_rollouts

SETTINGS = {"kind": "grpo", "steps": 4, "policy": "models/p", "seed": 0, "optimizer": {"lr": 1e-4}, "kl_coef": 0.01}
CRITIQUE = Critique("svg", (Discrepancy("shape_error", 3, "the circle is gone", "upper left"),))


def write_run(folder, rows, **settings):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, **settings}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def grpo_rows(gain=0.25):
    return [
        {
            "step": step,
            "reward": gain * step,
            "rewards/teds/mean": 0.5,
            "kl": 0.1,
            "mfu": 0.4,
            "seconds": 4.0,
            "generate_s": 2.0,
            "update_s": 1.5,
            "idle": 0.125,
        }
        for step in (1, 2, 3, 4)
    ]


@pytest.fixture
def attempts():
    picture = np.full((20, 30, 3), 200, np.uint8)

    drawn = RenderResult(picture, None, 0.1, "process", "resvg")
    reward = RewardResult("scored", 1.5, {"render_success": 1.0}, critique=CRITIQUE)
    good = Attempt("svg", picture, "<svg>one</svg>", render=drawn, reward=reward)
    return [good, Attempt("svg", picture, "<svg>two", reward=failed("syntax: <unclosed>"))] * 2


@pytest.fixture
def grpo_run(tmp_path, attempts):
    run = write_run(tmp_path / "one", grpo_rows())
    folder = run / "rollouts" / "000004"
    dump_rollouts(folder, attempts, np.array([0.5, -0.5, 0, 0]), 2)
    dump_timeline(folder, [{"on": "device", "name": "generate", "from": 0.0, "to": 2.0}])
    return run


def titles(html):
    return re.findall(r"<h2>([^<]*)</h2>", html.split("<main>")[1])


def test_a_run_of_grpo_shows_rewards_time_rollouts_and_settings(grpo_run):
    html = run_report(grpo_run).read_text()
    assert titles(html) == [
        "reward", "Rewards", "Policy", "Where the time goes", "Machine",
        "Step 4, prompt 1: svg", "Step 4, prompt 2: svg", "Settings",
    ]  # fmt: skip
    assert "<script" not in html and 'src="data:image/png' in html and 'src="0' not in html
    assert '<span class="before">0.250</span>' in html and "<strong>1</strong>" in html
    assert "the circle is gone" in html and "render_success 1" in html and "syntax: &lt;unclosed&gt;" in html
    assert "nothing to do in 12.5% of the time" in html
    assert "step 2: generate 2 s, update 1.500 s; in all 4 s" in html and "generate: 0 to 2 s" in html
    assert "optimizer:\n  lr: 0.0001" in html


def test_a_run_of_sft_shows_its_evaluations(tmp_path):
    rows = [{"step": i, "loss": 1 / i, "grad_norm": 1.0, "seconds": 1.0} for i in range(1, 41)]
    for row in rows[9::10]:
        row |= {"eval_loss": 0.5, "eval_f1": row["step"] / 100}
    html = run_report(write_run(tmp_path / "run", rows, kind="sft")).read_text()
    assert titles(html)[:2] == ["loss and eval_loss", "Evaluation"] and "Where the time goes" not in html
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells[:3] == ["10", "0.500", "0.100"] and cells[9:12] == ["40", "0.500", "0.400"]


def test_alarms_are_told_and_marked(tmp_path):
    rows = grpo_rows()
    rows[2]["alarms"] = ["the KL is <9>"]
    html = run_report(write_run(tmp_path / "run", rows)).read_text()
    assert "the KL is &lt;9&gt;" in html and html.count('class="marker"') >= 2


def test_two_runs_lie_side_by_side(tmp_path, grpo_run):
    other = write_run(tmp_path / "two", grpo_rows(0.5), kl_coef=0.0, optimizer={"lr": 2e-4})
    path = run_report(grpo_run, other)
    assert path == grpo_run / "compare_two.html"
    html = path.read_text()
    assert titles(html)[:3] == ["Final figures", "Settings that differ", "Rewards"]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert ["reward", "1", "2", "1"] in rows
    assert ["kl_coef", "0.01", "0.0"] in rows and ["optimizer.lr", "0.0001", "0.0002"] in rows
    assert not any(row and row[0] in ("seed", "policy") for row in rows)
    chart = re.search(r'aria-label="reward">.*?</svg>', html).group(0)
    assert 'class="line s0"' in chart and 'class="line s1"' in chart


def test_runs_of_two_kinds_and_folders_that_are_none_are_refused(tmp_path, grpo_run):
    sft = write_run(tmp_path / "sft", [{"step": 1, "loss": 1.0}], kind="sft")
    with pytest.raises(ValueError, match="share no curves"):
        run_report(grpo_run, sft)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        run_report(tmp_path)


def test_broken_settings_are_told(grpo_run):
    (grpo_run / "config.yaml").write_text("kind: [")
    with pytest.raises(ValueError, match="config.yaml is not valid YAML"):
        run_report(grpo_run)


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    assert "0 of 4" in run_report(write_run(tmp_path / "run", [])).read_text()


def test_rollouts_have_a_page_of_their_own_beside_their_pictures(grpo_run):
    folder = grpo_run / "rollouts" / "000004"
    html = (folder / "index.html").read_text()
    sources = set(re.findall(r'src="([^"]*)"', html))
    assert sources == {"000_reference.png", "000_00.png", "001_reference.png", "001_00.png"}
    assert all((folder / name).is_file() for name in sources)
    assert write_rollouts_page(folder).read_text() == html


def test_the_logs_get_the_first_group_in_one_row(attempts):
    shown = []

    class Run:
        def show(self, *what):
            shown.append(what)

    show_rollouts(Run(), 7, attempts, 2)
    ((step, name, image, text),) = shown
    assert (step, name) == (7, "rollouts") and image.shape == (20, 64, 3)  # reference, gap, the one that rendered
    assert "### 1: 1.500" in text and "### 2: 0.000" in text and "syntax: <unclosed>" in text


def heights(svg):
    return [float(h) for h in re.findall(r'<rect class="s\d"[^>]*height="([\d.]+)"', svg)]


def test_bars_stack_in_proportion():
    svg = stacked_bars([1, 2], {"generate": [2.0, 4.0], "update": [1.0, None]}, [3.0, 4.0], "t")
    first, update, second = heights(svg)
    assert first == pytest.approx(2 * update, abs=0.2) and second == pytest.approx(2 * first, abs=0.2)


def test_one_slow_step_does_not_flatten_the_others_and_long_runs_are_averaged():
    svg = stacked_bars(range(5), {"update": [900.0, 1.0, 1.0, 1.0, 1.0]}, [900.0, 1.0, 1.0, 1.0, 1.0], "t")
    assert min(heights(svg)) > 40 and ">900 s</text>" in svg
    assert stacked_bars(range(1000), {"update": [1.0] * 1000}, [1.0] * 1000, "t").count("<title>") <= 80


def test_lanes_keep_time():
    svg = lanes(
        [{"on": "device", "name": "a", "from": 0.0, "to": 1.0}, {"on": "host", "name": "b", "from": 1.0, "to": 4.0}],
        "t",
    )
    (x0, w0), (x1, w1) = [
        (float(x), float(w)) for x, w in re.findall(r'<rect class="[^"]*" x="([\d.]+)" y="\d+" width="([\d.]+)"', svg)
    ]
    assert x1 == pytest.approx(x0 + w0, abs=0.2) and w1 == pytest.approx(3 * w0, abs=0.5)
    assert "no steps yet" in render_report("t", {}, [TimeLine("T", [], {}, [])])
