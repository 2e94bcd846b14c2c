"""The reward model behind an address: what is asked, what is read, and what a fault of the address comes to."""

import json

import httpx2
import numpy as np
import pytest

from jaxerm.critique import Critique, CritiqueError
from jaxerm.data.chat import Chat, ChatError
from jaxerm.rewards import Attempt, Part, Scorer, SeverityReward
from jaxerm.rewards.remote import RemoteERM

WHITE = np.full((8, 8, 3), 255, np.uint8)
FINE = '{"errors": []}'
ONE = '{"errors": [{"category": "style_error", "severity": 2, "location": "top", "description": "red"}]}'


def remote(answer, **options):
    """A reward model whose server answers as the function says, a text or a status; and the bodies it was sent."""
    bodies = []

    def handle(request):
        bodies.append(json.loads(request.content))
        said = answer(len(bodies), bodies[-1])
        if isinstance(said, int):
            return httpx2.Response(said, text="busy")
        return httpx2.Response(200, json={"choices": [{"message": {"content": said}}]})

    chat = Chat("http://there/v1", "erm", transport=httpx2.MockTransport(handle), first_wait_s=0.001, retries=1)
    return RemoteERM(chat, threads=1, **options), bodies


def pairs(n):
    return [("svg", WHITE, WHITE)] * n


def test_both_images_are_sent_and_the_critique_is_read():
    erm, bodies = remote(lambda n, body: ONE if n == 1 else FINE, temperature=0.7, top_p=0.8, max_new_tokens=99)
    assert [critique.severity for critique in erm.critiques(pairs(2), seed=3)] == [2, 0]
    parts = bodies[0]["messages"][0]["content"]
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert len(images) == 2 and all(url.startswith("data:image/png;base64,") for url in images)
    sent = {key: bodies[0][key] for key in ("model", "temperature", "top_p", "max_tokens", "seed")}
    assert sent == {"model": "erm", "temperature": 0.7, "top_p": 0.8, "max_tokens": 99, "seed": 3}


def test_rubbish_is_asked_again_with_another_seed_and_then_unscored():
    erm, bodies = remote(lambda n, body: "I like it.", retries=2)
    [got] = erm.critiques(pairs(1), seed=3)
    assert isinstance(got, CritiqueError)
    assert [(body["seed"], body["temperature"]) for body in bodies] == [(3, 0.0), (4, 0.7), (5, 0.7)]
    erm, _ = remote(lambda n, body: "I like it." if n == 1 else FINE)
    assert erm.critiques(pairs(1)) == [Critique("svg")]


def test_a_server_that_is_gone_is_not_asked_for_ever():
    erm, bodies = remote(lambda n, body: 503, patience=3)
    got = erm.critiques(pairs(50))
    assert all(isinstance(one, ChatError) for one in got) and len(bodies) == 3 * 2
    assert "answers 503" in str(got[0]) and "given up after 3 questions in a row" in str(got[-1])
    erm.chat._client = httpx2.Client(
        transport=httpx2.MockTransport(
            lambda request: httpx2.Response(200, json={"choices": [{"message": {"content": FINE}}]})
        )
    )
    assert erm.critiques(pairs(1)) == [Critique("svg")], "the next lot asks again"


def test_faults_now_and_then_do_not_end_a_lot():
    erm, _ = remote(lambda n, body: 400 if n % 2 else FINE, patience=2)
    assert [isinstance(one, Critique) for one in erm.critiques(pairs(6))] == [False, True] * 3


@pytest.mark.parametrize("answer, words", [(503, "answers 503: busy"), ("well", "unreadable critique: no JSON object")])
def test_no_critique_means_no_reward(pool, answer, words):
    erm, _ = remote(lambda n, body: answer)
    scorer = Scorer(pool, [Part(SeverityReward(erm))])
    text = '```svg\n<svg viewBox="0 0 9 9"><rect width="9" height="3"/></svg>\n```'
    [got] = scorer.score([Attempt("svg", WHITE, text)])
    assert got.reward.status == "unscored" and got.reward.value is None and words in got.reward.reason
