"""A GRPO run in a bad week: one fault a step. It goes on, counts them, and makes up no reward."""

import itertools
import json
import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxerm.models.language import LanguageModel
from jaxerm.recipe import load_recipe
from jaxerm.render import RenderError, RenderResult
from jaxerm.train.grpo import run_grpo
from jaxerm.train.scoring import make_judge

LENGTH, NEW = 64, 16  # the shapes of test_grpo, so that its compilations serve here too
FAULTS = ["none", "rubbish", "hangs", "refuses", "words", "killed", "no_host", "pads", "none"]
COLOURS = ["red", "blue", "green", "black"]
CRITIQUE = {"errors": [{"category": "style_error", "severity": 1, "location": "center", "description": "off"}]}


class Server:
    """A reward model behind an address, in the mood that `fault` says."""

    def __init__(self):
        # Four in a row, however they fall: never are both groups of two without a spread.
        self.fault, self.numbers, self.let_go = "none", itertools.count(), threading.Event()
        self._port = 0
        self.open()

    def open(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                number = next(outer.numbers)
                text = json.dumps({"errors": CRITIQUE["errors"] * (number % 3)})
                if outer.fault == "hangs":
                    outer.let_go.wait(60)
                if outer.fault == "rubbish":
                    text = "I see two pictures."
                body = json.dumps({"choices": [{"message": {"content": text}}]})
                if outer.fault == "rubbish" and number % 2:
                    body = "<html>It works!</html>"
                try:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(body.encode())
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads, self._port = True, self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def kill_renderers():
    """Ends every render worker of this process; returns how many there were."""
    killed = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"jaxerm.render.worker" in (status.parent / "cmdline").read_bytes():
                os.kill(int(status.parent.name), signal.SIGKILL)
                killed += 1
        except OSError:
            continue  # gone in the meantime
    return killed


def circle(colour):
    return f'```svg\n<svg viewBox="0 0 64 64"><circle cx="32" cy="32" r="20" fill="{colour}"/></svg>\n```'


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the renderers it kills in /proc")
def test_the_run_goes_on_and_no_reward_is_made_up(tmp_path, micro, micro_directory, pool, monkeypatch):
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 0, 255))):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows = [{"id": name, "image": f"{name}.png"} for name in ("a", "broken", "gone", "b")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    server = Server()
    (tmp_path / "recipe.yaml").write_text(
        f"""
kind: grpo
policy: {micro_directory}
out: {tmp_path / "run"}
steps: {len(FAULTS)}
seed: 1
prompts: brief
render: {{svg_size: 64}}
prompts_per_step: 2
mini_batch: 1
micro_batch: 2
rollouts: 2
max_prompt_length: {LENGTH}
max_patches: 64
max_new_tokens: {NEW}
dtype: {{param: float32, compute: float32}}
mesh: {{fsdp: 1}}
log_to: []
watch: {{stop: []}}
reward: {{url: "{server.url}", model: judge, timeout_s: 60.0, retries: 0, normaliser: fixed, fixed: 4}}
data:
  mixture:
    - {{source: {tmp_path / "rows.jsonl"}, options: {{task: svg, image: image}}}}
"""
    )
    seen = {}
    fault = FAULTS[0]
    real_start, real_text, real_submit = LanguageModel.start, LanguageModel.text, pool.submit
    special = micro.config.image_token_id, micro.config.video_token_id

    def start(self, samples, sampling, *, params, **how):
        if fault == "pads":
            # Whatever the hidden state is, one of the two is by far the likeliest token.
            table = np.asarray(params["embed"][...]).copy()
            table[special[0]], table[special[1]] = 1e3, -1e3
            params = params.__class__(params)
            params["embed"] = params["embed"].replace(jnp.asarray(table))
        out = real_start(self, samples, sampling, params=params, **how)
        if fault == "words":
            # The first answer is empty, the second has no end.
            tokens, lengths, finished = (np.array(x) for x in (out.tokens, out.lengths, out.finished))
            tokens[0], lengths[0], finished[0] = micro.config.pad_token_id, 1, True
            tokens[0, 0] = micro.config.eos_token_id
            tokens[1], lengths[1], finished[1] = 100, NEW, False
            out = replace(out, tokens=tokens, lengths=lengths, finished=finished)
        if fault == "killed":
            seen["killed"] = kill_renderers()
        seen[f"tokens {fault}"] = np.asarray(out.tokens)
        return out

    def text(self, generated):
        said = real_text(self, generated)
        if fault == "words":
            assert said[0] == ""
            return ["", "<svg>" + "endless " * 50_000, "<|image_pad|>" * 9, circle("red")]
        return [circle(colour) for colour in COLOURS]

    def submit(task, code):
        if fault != "no_host":
            return real_submit(task, code)
        future = Future()
        future.set_result(RenderResult(None, RenderError("infrastructure", "no room left"), 0.0, "", ""))
        return future

    def on_step(step, attempts, advantages):
        nonlocal fault
        seen[step] = attempts, advantages
        if fault == "hangs":
            server.let_go.set()
        if fault == "refuses":
            server.open()
        fault = server.fault = FAULTS[min(step, len(FAULTS) - 1)]
        # Short where nothing is to be waited for, long where a slow machine is no fault.
        judge.chat._client.timeout = 0.5 if fault == "hangs" else 60.0
        if fault == "refuses":
            server.close()

    monkeypatch.setattr(LanguageModel, "start", start)
    monkeypatch.setattr(LanguageModel, "text", text)
    monkeypatch.setattr(pool, "submit", submit)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    judge = make_judge(recipe)
    try:
        run_grpo(recipe, policy=micro, erm=judge, pool=pool, quiet=True, on_step=on_step)
    finally:
        server.let_go.set()
        server.close()

    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(FAULTS) + 1))
    unscored, failed, broken = ([line[name] for line in lines] for name in ("unscored", "failed", "broken_rows"))
    #                     none rubbish hangs refuses words killed no_host pads none
    assert unscored == [0, 4, 4, 4, 0, 0, 4, 0, 0]
    assert failed == [0, 0, 0, 0, 3, 0, 0, 0, 0]
    # Two of four rows have no image or a broken one, and are passed over: two in each time round but the last.
    assert 2 * (len(FAULTS) - 1) <= sum(broken) <= 2 * len(FAULTS)
    assert seen["killed"] >= 1
    assert not np.isin(seen["tokens pads"], special).any(), "no pad is ever sampled"
    words = ["", "unreadable critique|JSON", "cannot be reached", "cannot be reached", "", "", "no room left", "", ""]
    for step, (line, why) in enumerate(zip(lines, words, strict=True), start=1):
        attempts, advantages = seen[step]
        for attempt, advantage in zip(attempts, advantages, strict=True):
            result = attempt.reward
            assert (result.value is None) == (result.status == "unscored")
            if result.status == "unscored":
                assert advantage == 0 and any(word in result.reason for word in why.split("|")), result.reason
            if result.status == "failed":
                assert result.value == 0.0
            if result.status == "scored":
                assert result.value == pytest.approx(2 - attempt.critique.severity / 4)
        values = [attempt.reward.value for attempt in attempts if attempt.reward.value is not None]
        assert line["reward"] == (pytest.approx(np.mean(values)) if values else None)
        assert np.isfinite(line["loss"])
        if unscored[step - 1] == 4:
            assert line["loss"] == line["grad_norm"] == 0, "nothing is learned from answers nobody could judge"
        elif len(set(values)) > 1:
            assert line["grad_norm"] > 0
