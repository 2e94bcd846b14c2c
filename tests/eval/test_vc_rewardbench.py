"""VC-RewardBench's figures against a count by hand, its files, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.chat import ChatError
from jaxerm.data.rewardbench import BenchItem, read_rewardbench
from jaxerm.eval.judge import LocalJudge, Match
from jaxerm.eval.vc_rewardbench import Judged, bench_scores, judge_items, read_predictions, write_predictions


def critique(*severities, task="chart", category="data_error"):
    return Critique(task, tuple(Discrepancy(category, s, f"error {n}") for n, s in enumerate(severities)))


def judged(name, predicted, truth, matches, task="chart"):
    return Judged(BenchItem(name, task, Path("a.png"), Path("b.png"), truth), predicted, matches)


A = judged("a", critique(3, 2, 1), critique(3, 1), [Match(0, 0, "yes"), Match(1, 1, "partial")])
B = judged("b", critique(1), critique(2, 2), [])
EMPTY = judged("c", critique(), critique(), [])


def test_pooled_figures_are_the_published_ones():
    got = bench_scores([A, B, EMPTY])["pooled"]
    # A: one yes, one partial, one predicted too many. B: one predicted too many, two missed.
    assert (got["yes"], got["partial"], got["false_positives"], got["false_negatives"]) == (1, 1, 2, 2)
    assert got["f1_hard"] == pytest.approx(2 * 1 / (2 * 1 + 2 + 2))
    assert got["f1_soft"] == pytest.approx(2 * 1.5 / (2 * 1.5 + 2 + 2))
    assert (got["precision_hard"], got["recall_soft"]) == (pytest.approx(1 / 3), pytest.approx(1.5 / 3.5))
    # Sums (6, 1, 0) against (4, 4, 0).
    assert got["severity_correlation"] == pytest.approx(0.628619, abs=1e-5)


def test_an_item_without_errors_scores_one_hard_and_soft():
    got = bench_scores([EMPTY])["pooled"]
    assert got["f1_hard"] == got["f1_soft"] == 1
    assert got["severity_correlation"] is None
    # Only partial matches: nothing is a hard hit, and nothing is a miss.
    half = judged("d", critique(1), critique(1), [Match(0, 0, "partial")])
    assert bench_scores([half])["pooled"]["f1_hard"] == 0


def test_tasks_and_categories_are_told_apart():
    table = judged("t", critique(1, task="table", category="text_error"),
                   critique(1, task="table", category="numeric_error"), [Match(0, 0, "yes")], "table")  # fmt: skip
    got = bench_scores([A, B, table])["tasks"]
    assert set(got) == {"chart", "table"} and got["chart"]["n"] == 2
    assert got["table"]["categories"]["numeric_error"]["f1_hard"] == 1
    assert got["chart"]["categories"]["data_error"]["f1_hard"] == got["chart"]["f1_hard"]


def test_what_cannot_be_read_found_nothing_and_what_cannot_be_judged_is_left_out():
    got = bench_scores([judged("u", None, critique(2, 3), []), judged("v", critique(1), critique(1), None)])
    assert (got["pooled"]["unreadable"], got["pooled"]["false_negatives"], got["pooled"]["n"]) == (1, 2, 1)
    assert got["unjudged"] == ["v"]


def test_a_judge_that_never_answers_is_no_result():
    class Silent:
        name = "silent"

        def match(self, predicted, annotated):
            raise ChatError("refused")

    with pytest.raises(ChatError, match="refused"):
        judge_items([A.item, B.item], [A.predicted, B.predicted], Silent())


def bench_file(folder, **changes):
    line = {
        "id": "x1", "idx": 0, "category": "table", "gt_img_path": "g.png", "pred_img_path": "p.png",
        "human_errors": [{"type": "numeric_error", "severity": 2, "description": "12 should be 13"}], **changes,
    }  # fmt: skip
    (folder / "bench.jsonl").write_text(json.dumps(line) + "\n\n", encoding="utf-8")
    return folder / "bench.jsonl"


def test_the_list_is_read_and_images_are_not_opened(tmp_path):
    (item,) = read_rewardbench(bench_file(tmp_path))
    assert (item.id, item.task, item.reference) == ("x1", "table", tmp_path / "g.png")
    assert item.truth.errors[0].category == "numeric_error" and item.truth.severity == 2


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"category": "video"}, "line 1: category is 'video'"),
        ({"human_errors": 3}, "line 1: the errors are int"),
        ({"human_errors": [{"type": "data_error", "severity": 2}]}, "line 1: error 1 .* 'data_error'"),
        ({"human_errors": [{"type": "text_error", "severity": 9}]}, "line 1: .*severity 9"),
    ],
)
def test_a_line_outside_the_format_is_named(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        read_rewardbench(bench_file(tmp_path, **changes))


def test_answer_files_are_read_in_both_forms_and_written(tmp_path):
    items = read_rewardbench(bench_file(tmp_path))
    answer = {"id": "x1", "pred_json": {"errors": [{"type": "numeric", "severity": 2, "description": "12 not 13"}]}}
    path = tmp_path / "answers.json"
    for text in (json.dumps([answer]), json.dumps(answer), json.dumps(answer | {"pred_json": "no"})):
        path.write_text(text)
        (got,) = read_predictions(path, items)
        assert (got is None) == ('"no"' in text)
    done = judge_items(items, [critique(2, task="table", category="numeric_error")], LocalJudge())
    write_predictions(path, done)
    assert read_predictions(path, items) == [done[0].predicted]
    path.write_text("[]")
    with pytest.raises(ValueError, match="no answer for 1 of 1 items, such as 'x1'"):
        read_predictions(path, items)


def test_the_command_prints_json(tmp_path, capsys, monkeypatch):
    from jaxerm.cli import main

    bench = bench_file(tmp_path)
    answer = {"id": "x1", "pred_json": {"errors": [{"type": "numeric", "severity": 1, "description": "12, not 13"}]}}
    (tmp_path / "a.json").write_text(json.dumps([answer]))
    arguments = ["eval", "vc-rewardbench", str(bench), "--predictions", str(tmp_path / "a.json"), "--json"]
    monkeypatch.setattr("sys.argv", ["jaxerm", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    got = json.loads(capsys.readouterr().out)
    assert got["judge"] == "local" and got["pooled"]["f1_hard"] == 1 and got["tasks"]["table"]["n"] == 1


def test_the_set_that_ships_is_whole_and_scores_full_against_itself(tmp_path):
    items = read_rewardbench(Path(__file__).parents[2] / "data" / "tiny-rewardbench" / "bench.jsonl")
    assert [item.task for item in items] == ["svg"] * 8 + ["table"] * 8 + ["chart"] * 8
    assert all(item.reference.is_file() and item.prediction.is_file() for item in items)
    answers = tmp_path / "answers.json"
    write_predictions(answers, [Judged(item, item.truth, None) for item in items])
    got = bench_scores(judge_items(items, read_predictions(answers, items), LocalJudge()))
    assert got["pooled"]["f1_hard"] == got["pooled"]["f1_soft"] == 1
    assert got["pooled"]["severity_correlation"] == pytest.approx(1)
