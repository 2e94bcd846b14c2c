"""The critique: what is written, what is read, what is refused."""

import json

import pytest

from jaxerm.critique import SCHEMAS, TASKS, Critique, CritiqueError, Discrepancy, check_task, parse_critique

SVG = Critique("svg", (Discrepancy("style_error", 2, "blue, should be red", "top left"),))
TABLE = Critique("table", (Discrepancy("numeric_error", 3, "12 should be 21"), Discrepancy("layout_error", 1, "a row")))


@pytest.mark.parametrize("critique", [SVG, TABLE, Critique("chart")])
def test_json_round_trip(critique):
    assert Critique.from_json(critique.to_json(), critique.task) == critique


def test_json_has_the_counts_first_and_the_key_of_its_task():
    written = json.loads(TABLE.to_json())
    assert list(written) == ["layout_error_count", "text_error_count", "numeric_error_count", "errors"]
    assert [written[f"{name}_count"] for name in SCHEMAS["table"].categories] == [1, 0, 1]
    assert written["errors"][0] == {"type": "numeric_error", "severity": 3, "description": "12 should be 21"}
    assert "location" in json.loads(SVG.to_json())["errors"][0]


def test_severity_is_the_sum():
    assert TABLE.severity == 4
    assert Critique("chart").severity == 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("key", ["type", "category"])
def test_either_key_is_read_for_any_task(task, key):
    category = SCHEMAS[task].categories[0]
    text = json.dumps({"errors": [{key: category, "severity": 1, "location": "x", "description": "d"}]})
    assert parse_critique(text, task).errors[0].category == category


def test_fence_thought_and_prose_are_read_past():
    text = f'<think>maybe {{"errors": []}}?</think>Here it is:\n```json\n{SVG.to_json()}\n```\nDone.'
    assert parse_critique(text, "svg") == SVG


def test_the_list_wins_over_wrong_counts():
    wrong = json.loads(SVG.to_json()) | {"style_error_count": 7}
    assert parse_critique(json.dumps(wrong), "svg").counts["style_error"] == 1


def test_other_error_of_the_paper_is_read_for_svg_only():
    text = '{"errors": [{"category": "other_error", "severity": 1}]}'
    assert parse_critique(text, "svg").errors[0].category == "other_error"
    with pytest.raises(CritiqueError, match="other_error"):
        parse_critique(text, "chart")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json at all", "no JSON object"),
        ('{"count": 1}', "errors"),
        ('{"errors": [{"category": "style_error", "severity": 4}]}', "severity 4"),
        ('{"errors": [{"category": "style_error", "severity": true}]}', "severity True"),
        ('{"errors": [{"category": "colour", "severity": 1}]}', "colour_error"),
        ('{"errors": [{"severity": 1}]}', "neither"),
        ('{"errors": ["style"]}', "not an object"),
        (SVG.to_json()[:-5], "no JSON object"),
    ],
)
def test_what_is_no_critique_is_refused(text, message):
    with pytest.raises(CritiqueError, match=message):
        parse_critique(text, "svg")


def test_deep_nesting_is_an_error_and_not_a_crash():
    with pytest.raises(CritiqueError):
        parse_critique('{"a":' * 20_000, "svg")


def test_unknown_task_names_the_tasks():
    with pytest.raises(ValueError, match="chart, table, svg"):
        check_task("figure")
