"""Routes to the truth about an attempt: the teacher's filter, and a router that mixes by weight and can fall back."""

from __future__ import annotations

import json
from collections import Counter

import httpx2
import numpy as np
import pytest

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.chat import Chat
from jaxerm.data.natural.routes import Attempt, Router, Structure, Teacher, mentions_fit, natural_pairs
from jaxerm.data.pair_files import PairFolder, write_pairs
from jaxerm.data.program import Edit

TABLE = "| a | b |\n|---|---|\n| 1 | 120 |\n| 2 | y |"
BROKEN = "| a | b |\n|---|---|\n| 1 | 130 |\n| 2 | y |"
WHITE, GREY = np.full((4, 4, 3), 255, np.uint8), np.full((4, 4, 3), 99, np.uint8)
EDIT = Edit("teacher", "numeric_error", 2, None, "130, should be 120")


def attempt(name="a", reference_code=TABLE, code=BROKEN, image=GREY):
    return Attempt(name, "table", reference_code, code, WHITE, image)


def teacher(*answers, structure=None, cache=None):
    """A teacher that gives these answers, and what it was asked."""
    seen, left = [], list(answers)

    def handle(request):
        seen.append(json.loads(request.content))
        return httpx2.Response(200, json={"choices": [{"message": {"content": left.pop(0)}}]})

    chat = Chat("http://there/v1", "m", transport=httpx2.MockTransport(handle), cache=cache)
    return Teacher(chat, structure), seen


def critique(*errors):
    return Critique("table", tuple(Discrepancy(c, s, text) for c, s, text in errors)).to_json()


def test_a_teacher_sees_both_images_and_its_critique_is_the_ledger():
    route, seen = teacher(critique(("numeric_error", 2, "130, should be 120")))
    assert route.annotate(attempt()) == (EDIT,)
    content = seen[0]["messages"][0]["content"]
    assert [part["type"] for part in content].count("image_url") == 2


def test_unreadable_answers_are_asked_for_again_and_then_given_up():
    route, seen = teacher("I see nothing.", critique())
    assert route.annotate(attempt()) == ()
    assert [question["temperature"] for question in seen] == [0.0, 0.7]
    assert teacher("no", "no", "no")[0].annotate(attempt()) is None


def test_claims_about_what_is_in_neither_program_are_dropped():
    said = critique(("numeric_error", 2, "130, should be 120"), ("text_error", 1, 'header is "price", should be "b"'),
                    ("numeric_error", 3, "row 1 is 455, should be 120"))  # fmt: skip
    assert teacher(said)[0].annotate(attempt()) == (EDIT,)
    # Where nobody knows the programs, nobody can tell.
    assert len(teacher(said)[0].annotate(attempt(reference_code=""))) == 3


def test_claims_in_categories_in_which_the_programs_agree_are_dropped(pool):
    said = critique(("numeric_error", 2, "130, should be 120"), ("layout_error", 3, "a row is missing"))
    assert teacher(said, structure=Structure(pool))[0].annotate(attempt()) == (EDIT,)


@pytest.mark.parametrize(
    "text, fits",
    [
        ("the cell is 130, should be 120", True),
        ("the cell is 131.5, should be 120", False),
        ("2 rows are wrong, 45% of all", True),
        ('"Y" should be "2"', True),
        ("the title 'Sales' is missing", False),
        ("the row's cell isn't right", True),
    ],
)
def test_mentions(text, fits):
    assert mentions_fit(text, TABLE, BROKEN) == fits


class Fixed:
    """A route that always says the same."""

    def __init__(self, name, edits):
        self.name, self._edits = name, edits

    def annotate(self, attempt):
        return self._edits


def test_a_router_mixes_by_weight_and_the_same_attempt_goes_the_same_way():
    def chosen(seed):
        router = Router([(Fixed("x", ()), 3.0), (Fixed("y", (EDIT,)), 1.0)], seed)
        return router, [len(router.annotate(attempt(f"attempt {n}"))) for n in range(400)]

    router, ways = chosen(0)
    assert 0.18 < np.mean(ways) < 0.32 and router.counts == Counter({"x": ways.count(0), "y": ways.count(1)})
    assert chosen(0)[1] == ways != chosen(1)[1]


def test_a_route_that_cannot_say_passes_it_on():
    router = Router([(Fixed("x", None), 1.0), (Fixed("y", (EDIT,)), 1.0)])
    assert all(router.annotate(attempt(str(n))) == (EDIT,) for n in range(20))
    router = Router([(Fixed("x", None), 1.0)])
    assert router.annotate(attempt()) is None and router.counts == {"unknown": 1}
    with pytest.raises(ValueError, match="positive"):
        Router([(Fixed("x", None), 0.0)])


def test_what_looks_the_same_has_no_errors_whatever_a_route_says():
    router = Router([(Fixed("x", (EDIT,)), 1.0)])
    assert router.annotate(attempt(image=WHITE)) == () and router.counts == {"alike": 1}


def test_attempts_become_pairs_in_order_and_are_written(pool, tmp_path):
    attempts = [attempt("a"), attempt("b", code="words"), attempt("c", image=WHITE), attempt("d", code=TABLE)]
    router = Router([(Structure(pool), 1.0)])
    pairs = list(natural_pairs(attempts, router, threads=2))
    assert [(pair.id, len(pair.edits)) for pair in pairs] == [("a", 1), ("c", 0), ("d", 0)]
    assert pairs[0].edits[0].description == "row 1, column b is 130, should be 120"
    assert router.counts == {"structure": 2, "unknown": 1, "alike": 1}
    write_pairs(pairs, tmp_path)
    assert [pair.critique for pair in PairFolder(tmp_path)] == [pair.critique for pair in pairs]


def test_a_run_that_was_interrupted_asks_only_for_what_is_left(tmp_path):
    answers = [critique(("numeric_error", 2, "130, should be 120")), critique()]
    list(natural_pairs([attempt("a")], Router([(teacher(answers[0], cache=tmp_path)[0], 1.0)])))
    route, seen = teacher(answers[1], cache=tmp_path)
    other = attempt("b", image=np.full((4, 4, 3), 50, np.uint8))
    pairs = list(natural_pairs([attempt("a"), other], Router([(route, 1.0)]), threads=1))
    assert [len(pair.edits) for pair in pairs] == [1, 0] and len(seen) == 1
