"""Run folders: no step twice, no run lost by mistake."""

import json

import numpy as np
import pytest

from jaxerm.recipe import load_recipe
from jaxerm.runs import RunDir, RunError, read_metrics

SFT = "kind: sft\nsteps: 10\nout: runs/x\nmodel: m\ndata: {mixture: [{source: lucide}]}\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(SFT)
    return lambda *overrides: load_recipe(path, overrides)


def test_a_run_writes_its_recipe_and_one_flushed_line_a_step(tmp_path, recipe):
    with RunDir(tmp_path / "run", recipe()) as run:
        run.log(1, loss=np.float32(0.5), tokens=np.int64(7))
        run.log(2, loss=float("nan"))
        rows = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]  # before it is closed
    assert rows == [{"step": 1, "loss": 0.5, "tokens": 7}, {"step": 2, "loss": None}]
    assert load_recipe(run.config_path) == recipe()
    assert run.checkpoints.is_absolute()


def test_resuming_drops_the_steps_after_the_checkpoint_and_a_torn_line(tmp_path, recipe):
    with RunDir(tmp_path / "run", recipe()) as run:
        for step in range(1, 6):
            run.log(step, loss=step)
    with run.metrics_path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [row["step"] for row in read_metrics(run.path)] == [1, 2, 3, 4, 5]
    with RunDir(tmp_path / "run", recipe()) as run:
        assert run.last_step == 5
        run.resume_at(3)
        run.log(4, loss=40)
    assert [(row["step"], row["loss"]) for row in read_metrics(run.path)] == [(1, 1), (2, 2), (3, 3), (4, 40)]


def test_a_step_already_written_is_refused(tmp_path, recipe):
    run = RunDir(tmp_path / "run", recipe())
    run.log(3, loss=1)
    with pytest.raises(ValueError, match="step 3 is not after step 3"):
        run.log(3, loss=1)


def test_a_longer_run_of_the_same_recipe_goes_on_and_another_recipe_is_refused(tmp_path, recipe):
    RunDir(tmp_path / "run", recipe()).log(1, loss=1)
    assert RunDir(tmp_path / "run", recipe("steps=20", "log_every=5")).last_step == 1
    with pytest.raises(RunError, match=r"other settings \(seed, batch_size\)"):
        RunDir(tmp_path / "run", recipe("seed=1", "batch_size=2"))
    assert RunDir(tmp_path / "run", recipe("seed=1"), resume=True).last_step == 1
    assert RunDir(tmp_path / "run", recipe("seed=2"), overwrite=True).last_step == -1
    assert load_recipe(tmp_path / "run" / "config.yaml").seed == 2


def test_a_folder_that_is_no_run_is_never_touched(tmp_path, recipe):
    (tmp_path / "thesis.txt").write_text("years of work")
    for choice in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="and no run"):
            RunDir(tmp_path, recipe(), **choice)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        RunDir(tmp_path / "file" / "run", recipe())
    with pytest.raises(RunError, match="not a run folder"):
        RunDir(tmp_path / "nothing")


def test_a_process_that_does_not_write_writes_nothing(tmp_path, recipe):
    with RunDir(tmp_path / "run", recipe(), write=False) as run:
        run.log(1, loss=1)
        run.tell(isolation={"svg": "process"})
        run.resume_at(0)
    assert not (tmp_path / "run").exists()
