"""Judges: the local one against known matches, the one behind an address against a server that is not there."""

from __future__ import annotations

import json

import httpx2
import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.chat import Chat, ChatError
from jaxerm.eval.judge import ChatJudge, LocalJudge, Match, read_matches
from tests.eval.reworded import known_matches


def said(*errors, task="svg"):
    return Critique(task, tuple(Discrepancy(category, 2, text) for category, text in errors))


BLUE = ("style_error", "circle at the top is blue, should be red")


@pytest.mark.parametrize("name", ["drawings", "icons", "tables", "charts"])
def test_reworded_and_shuffled_errors_are_found_again(name):
    hits = found = there = 0
    for predicted, annotated, known in known_matches(name, 120):
        got = {(match.predicted, match.annotated) for match in LocalJudge().match(predicted, annotated)}
        hits, found, there = hits + len(got & known), found + len(got), there + len(known)
    assert there > 200 and 2 * hits / (found + there) >= 0.95


def test_matching_is_one_to_one_and_the_best_wins():
    truth = said(BLUE, ("style_error", "square at the left is blue, should be green"))
    twice = said(("style_error", "the square on the left was drawn blue instead of green"), BLUE, BLUE)
    matches = LocalJudge().match(twice, truth)
    assert sorted((m.annotated, m.verdict) for m in matches) == [(0, "yes"), (1, "yes")]
    assert {m.annotated: m.predicted for m in matches}[1] == 0


def test_half_a_truth_is_partial():
    judge = LocalJudge()
    assert judge.match(said(("shape_error", BLUE[1])), said(BLUE)) == [Match(0, 0, "partial")]
    numbers = said(("style_error", "bar 3 is 40, should be 20"), task="chart")
    wrong = said(("style_error", "bar has a height of 12 and should be 99"), task="chart")
    assert all(match.verdict == "partial" for match in judge.match(wrong, numbers))


def test_other_errors_do_not_match():
    assert LocalJudge().match(said(("style_error", "the letter B is missing on the right")), said(BLUE)) == []
    assert LocalJudge().match(said(), said(BLUE)) == LocalJudge().match(said(BLUE), said()) == []


def server(*answers):
    """A transport that gives one answer after another, and the requests it got."""
    seen, left = [], list(answers)

    def handle(request):
        seen.append(json.loads(request.content) if request.content else None)
        answer = left.pop(0)
        if isinstance(answer, str):
            answer = httpx2.Response(200, json={"choices": [{"message": {"content": answer}}]})
        return answer

    return httpx2.MockTransport(handle), seen


def test_a_model_is_asked_with_both_lists_and_its_matches_are_read():
    answer = 'Sure: {"matches": [{"predicted": 2, "annotated": 1, "verdict": "Partial"}]}'
    transport, seen = server(answer)
    judge = ChatJudge(Chat("http://judge/v1", "m", transport=transport))
    assert judge.match(said(("shape_error", "words"), BLUE), said(BLUE)) == [Match(1, 0, "partial")]
    text = seen[0]["messages"][0]["content"]
    assert text.count(BLUE[1]) == 2 and text.index("words") < text.rindex(BLUE[1])


def test_an_unreadable_judgement_is_asked_for_again_and_then_given_up():
    transport, seen = server("no idea", '{"matches": []}')
    assert ChatJudge(Chat("http://judge/v1", "m", transport=transport)).match(said(BLUE), said(BLUE)) == []
    assert seen[0]["temperature"] == 0 < seen[1]["temperature"]
    transport, _ = server("no", "no", "no")
    with pytest.raises(ChatError, match="no readable matches"):
        ChatJudge(Chat("http://judge/v1", "m", transport=transport)).match(said(BLUE), said(BLUE))


def test_what_a_judge_says_twice_is_kept_once():
    entries = [(1, 1, "partial"), (1, 2, "yes"), (2, 2, "yes"), (3, 1, "yes")]
    text = json.dumps({"matches": [dict(zip(("predicted", "annotated", "verdict"), e, strict=True)) for e in entries]})
    # The third has been told already, the fourth is of an error that does not exist.
    assert read_matches(text, 2, 2) == [Match(0, 1, "yes")]
    assert read_matches('{"matches": [{"predicted": 1}]}', 1, 1) is None
