"""TensorBoard and W&B get what metrics.jsonl gets, under grouped names, and no step twice."""

import importlib.util
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from jaxerm.recipe import load_recipe
from jaxerm.run_logs import scalars, tag
from jaxerm.runs import RunDir, RunError, read_metrics

SFT = "kind: sft\nsteps: 10\nout: runs/x\nmodel: m\ndata: {mixture: [{source: lucide}]}\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(SFT)
    return lambda *overrides: load_recipe(path, overrides)


def events(folder):
    """All events in the order of the files, without the ones that a later start hides; as TensorBoard reads them."""
    from tensorboard.compat.proto.event_pb2 import Event

    out = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            if at + 16 + size > len(data):
                break
            event = Event.FromString(data[at + 12 : at + 12 + size])
            if event.HasField("session_log"):
                out = [one for one in out if one.step < event.step]
            out.append(event)
            at += 16 + size
    return out


def curve(folder, name):
    return [(e.step, v.simple_value) for e in events(folder) for v in e.summary.value if v.tag == name]


@pytest.mark.parametrize(
    ("name", "grouped"),
    [
        ("loss", "train/loss"),
        ("reward", "rewards/mean"),
        ("rewards/teds/mean", "rewards/teds/mean"),
        ("reward_std", "rewards/std"),
        ("update_s", "time/update"),
        ("tokens_per_s", "system/tokens_per_s"),
        ("seconds", "time/step"),
        ("eval_f1", "eval/f1"),
        ("mine/own", "mine/own"),
        ("new", "train/new"),
    ],
)
def test_metrics_have_grouped_names(name, grouped):
    assert tag(name) == grouped


def test_only_numbers_are_curves():
    row = {"loss": 1, "kl": None, "device": "cpu", "done": True, "bad": float("nan"), "eval": {"f1": 0.5}}
    assert scalars(row) == {"train/loss": 1.0, "eval/f1": 0.5}


def test_tensorboard_holds_what_metrics_hold_after_an_interruption(tmp_path, recipe):
    out = tmp_path / "run"
    with RunDir(out, recipe()) as run:
        run.resume_at(0)
        for step in (1, 2, 3):
            run.log(step, loss=step)
            assert curve(out, "train/loss")[-1] == (step, step)  # on disk before the next step
    # Killed while it wrote: a torn record at the end of the file.
    (path,) = (out / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    with RunDir(out, recipe()) as run:
        run.resume_at(2)
        run.log(3, loss=30.0)
        run.log(4, loss=40.0)
    assert curve(out, "train/loss") == [(1, 1), (2, 2), (3, 30), (4, 40)]
    assert curve(out, "train/loss") == [(row["step"], row["loss"]) for row in read_metrics(out)]


def test_pictures_and_texts_are_shown(tmp_path, recipe):
    picture = np.full((4, 6, 3), (200, 0, 0), np.uint8)
    with RunDir(tmp_path / "run", recipe()) as run:
        run.show(1, "rollouts/0", picture, "code")
        run.log(1, loss=1.0, alarms=["the KL is 3"])
    values = {v.tag: v for e in events(tmp_path / "run") for v in e.summary.value}
    (tmp_path / "a.png").write_bytes(values["rollouts/0"].image.encoded_image_string)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)
    assert values["rollouts/0/text"].tensor.string_val == [b"code"] and values["alarms"].tensor.string_val == [
        b"the KL is 3"
    ]


def test_no_log_is_asked_for_and_none_is_written(tmp_path, recipe):
    with RunDir(tmp_path / "run", recipe("log_to=[]")) as run:
        run.log(1, loss=1.0)
        run.show(1, "a", np.zeros((2, 2, 3), np.uint8), "b")
    assert not (tmp_path / "run" / "tensorboard").exists()
    with RunDir(tmp_path / "other", recipe(), write=False) as run:
        run.log(1, loss=1.0)
    assert not (tmp_path / "other").exists()


def test_a_log_whose_package_is_missing_is_told_before_anything_runs(tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'jaxerm\[wandb\]'"):
        RunDir(tmp_path / "run", recipe("log_to=[wandb]"))
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_is_the_same_one_at_wandb(tmp_path, recipe, monkeypatch):
    told, begun = [], []

    class Run:
        def log(self, values, step):
            told.append((step, values))

        def finish(self):
            told.append("finished")

    def init(**settings):
        begun.append(settings)
        return Run()

    fake = types.SimpleNamespace(init=init, Image=lambda image: ("image", image.shape), Html=lambda html: html)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    for step in (1, 2):
        with RunDir(tmp_path / "run", recipe("log_to=[wandb]")) as run:
            run.log(step, loss=0.5)
            run.show(step, "a", np.zeros((2, 3, 3), np.uint8), "<b>")
    assert begun[0]["id"] == begun[1]["id"] and begun[0]["resume"] == "allow" and begun[0]["config"]["steps"] == 10
    assert told[:4] == [
        (1, {"train/loss": 0.5}), (1, {"a": ("image", (2, 3, 3))}), (1, {"a/text": "<pre>&lt;b&gt;</pre>"}), "finished",
    ]  # fmt: skip


def test_writing_events_loads_no_tensorflow_and_no_torch():
    code = "import tensorboard.summary.writer.record_writer, tensorboard.compat.proto.event_pb2, sys; "
    code += "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
