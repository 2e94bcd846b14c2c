"""The client of OpenAI-compatible addresses: retries, the cache that a run resumes from, the log of what it cost."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx2
import numpy as np
import pytest

from jaxerm.data.chat import Chat, ChatError

OK = {"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
QUESTION = [{"role": "user", "content": "is it?"}]


def client(*answers, **options):
    """A chat whose server gives these answers: a status, or a JSON object; and the requests it got."""
    seen, left = [], list(answers)

    def handle(request):
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer, text="busy") if isinstance(answer, int) else httpx2.Response(200, json=answer)

    transport = httpx2.MockTransport(handle)
    return Chat("http://there/v1/", "m", transport=transport, first_wait_s=0.001, **options), seen


def test_an_answer_is_text_and_what_it_took():
    chat, seen = client(OK, key="secret")
    reply = chat.ask(QUESTION, temperature=0.5, max_tokens=7)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens, reply.cached) == ("yes", 1000, 500, False)
    body = json.loads(seen[0].content)
    assert str(seen[0].url) == "http://there/v1/chat/completions"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.5, 7)
    assert seen[0].headers["authorization"] == "Bearer secret"


def test_faults_that_pass_are_tried_again():
    chat, seen = client(503, 429, httpx2.ConnectError("refused"), OK)
    assert chat.ask(QUESTION).text == "yes" and len(seen) == 4


@pytest.mark.parametrize(
    "answers, words, tries",
    [
        ([401], "answers 401: busy", 1),
        ([500] * 3, "answers 500", 3),
        ([httpx2.ConnectError("refused")] * 3, "cannot be reached: refused", 3),
        ([{"error": "no"}], "not answer with a chat completion", 1),
    ],
)
def test_faults_that_stay_are_named(answers, words, tries):
    chat, seen = client(*answers, retries=2)
    with pytest.raises(ChatError, match=words):
        chat.ask(QUESTION)
    assert len(seen) == tries


def test_what_was_answered_is_not_asked_again(tmp_path):
    chat, seen = client(OK, OK, cache=tmp_path / "c", log=tmp_path / "log.jsonl", prices=(2.0, 10.0))
    assert not chat.ask(QUESTION).cached
    again, nothing = client(cache=tmp_path / "c", log=tmp_path / "log.jsonl", prices=(2.0, 10.0))
    assert again.ask(QUESTION).cached and nothing == []
    assert not chat.ask(QUESTION, seed=1).cached, "another seed is another question"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    # 1,000 tokens at 2 and 500 at 10 a million.
    assert [line["price"] for line in lines] == pytest.approx([0.007, 0, 0.007])
    assert [line["cached"] for line in lines] == [False, True, False]


def test_a_fault_is_not_kept(tmp_path):
    chat, _ = client({"error": "no"}, OK, cache=tmp_path)
    with pytest.raises(ChatError):
        chat.ask(QUESTION)
    assert chat.ask(QUESTION).text == "yes"


def test_images_go_as_png_in_the_text(tmp_path):
    chat, seen = client(OK)
    image = np.zeros((2, 3, 3), np.uint8)
    chat.ask([{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "see"}]}])
    picture, text = json.loads(seen[0].content)["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR") and text["text"] == "see"


def test_answers_keep_the_order_of_the_questions():
    def handle(request):
        text = json.loads(request.content)["messages"][0]["content"]
        return httpx2.Response(200, json={"choices": [{"message": {"content": text.upper()}}]})

    chat = Chat("http://there/v1", "m", transport=httpx2.MockTransport(handle))
    questions = [[{"role": "user", "content": letter}] for letter in "abcdefgh"]
    assert "".join(reply.text for reply in chat.ask_all(questions, threads=4)) == "ABCDEFGH"


def test_the_first_model_of_the_server_is_taken_where_none_is_named():
    def handle(request):
        assert request.url.path == "/v1/models"
        return httpx2.Response(200, json={"data": [{"id": "first"}, {"id": "second"}]})

    assert Chat("http://there/v1", transport=httpx2.MockTransport(handle)).model == "first"
    with pytest.raises(ValueError, match="not an address"):
        Chat("localhost:8000")


class Stub(BaseHTTPRequestHandler):
    """A server of one's own that first hangs, then is busy, then talks rubbish, then answers."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        if self.server.asked == 1:
            time.sleep(0.6)
        answer = {2: (503, b"busy"), 3: (200, b"<html>rubbish")}.get(self.server.asked, (200, json.dumps(OK).encode()))
        try:
            self.send_response(answer[0])
            self.send_header("content-length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])
        except OSError:
            pass  # nobody waits for it any more

    def log_message(self, *_):
        pass


def test_a_server_that_hangs_is_busy_and_talks_rubbish(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.asked = 0
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    chat = Chat(address, "m", cache=tmp_path / "c", timeout_s=0.2, first_wait_s=0.01)
    with pytest.raises(ChatError, match="did not answer with JSON: '<html>rubbish'"):
        chat.ask(QUESTION)
    assert server.asked == 3, "it hung once, was busy once, and rubbish is not asked for again"
    patient = Chat(address, "m", cache=tmp_path / "c", timeout_s=30.0)
    assert patient.ask(QUESTION).text == "yes"
    server.shutdown()
    server.server_close()
    assert chat.ask(QUESTION).cached
    with pytest.raises(ChatError, match="cannot be reached"):
        Chat(address, "m", retries=1, first_wait_s=0.01).ask(QUESTION)
