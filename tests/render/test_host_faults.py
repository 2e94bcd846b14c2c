"""What this machine does to a render is not the code's fault: it is tried again, and the pool goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxerm.render import RenderOptions, RenderPool, chromium, pool, process, sandbox
from jaxerm.render.errors import DrawError
from jaxerm.render.pool import STARTS
from tests.render.conftest import children

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
GOOD = '<svg viewBox="0 0 8 8"><rect width="4" height="8"/></svg>'
CHART = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
SMALL = RenderOptions(svg_size=64)


@pytest.fixture
def workers(monkeypatch):
    """Every worker that the pools of a test start, in order."""
    started = []

    class Seen(process.Worker):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(pool, "Worker", Seen)
    return started


@linux_only
def test_a_worker_killed_while_idle_is_reaped_at_once_and_costs_nothing(workers):
    before = set(children(os.getpid()))  # of other pools
    with RenderPool(1, options=SMALL) as pool:
        expected = pool.render("svg", GOOD).image
        (pid,) = set(children(os.getpid())) - before
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 30
        while pid in children(os.getpid()):  # a zombie is still one
            assert time.monotonic() < until, "a killed worker was not reaped"
            time.sleep(0.05)
        result = pool.render("svg", GOOD)
    assert result.ok and (result.image == expected).all() and len(workers) == 2


def test_a_worker_killed_before_its_next_render_costs_nothing(workers):
    with RenderPool(1, options=SMALL) as pool:
        expected = pool.render("svg", GOOD).image
        os.kill(workers[0]._process.pid, signal.SIGKILL)
        result = pool.render("svg", GOOD)
    assert result.ok and (result.image == expected).all() and len(workers) == 2


@pytest.mark.parametrize("end", ["_stdin", "_stdout"])
def test_a_broken_pipe_costs_nothing(workers, end):
    with RenderPool(1, options=SMALL) as pool:
        expected = pool.render("svg", GOOD).image
        ends = os.pipe()
        # To write into a pipe that nobody reads, or to read from one that nobody writes into.
        os.dup2(ends[end == "_stdin"], getattr(workers[0], end))
        for one in ends:
            os.close(one)
        result = pool.render("svg", GOOD)
        assert result.ok and (result.image == expected).all() and len(workers) == 2


@linux_only
def test_workers_and_charts_killed_again_and_again_cost_no_answer_and_leave_nothing():
    jobs = [("svg", GOOD), ("chart", CHART)]
    killed = 0
    before = set(children(os.getpid()))
    descriptors = len(os.listdir("/proc/self/fd"))
    with RenderPool(2, timeout_s=60, options=SMALL) as pool:
        expected = [result.image.tobytes() for result in pool.map(jobs)]
        for i, result in enumerate(pool.map(jobs * 8)):
            assert result.fault != "code", str(result.error)
            assert not result.ok or result.image.tobytes() == expected[i % 2]
            if i % 8 == 3:
                for worker in set(children(os.getpid())) - before:
                    for pid in children(worker) or [worker]:  # the chart that is being drawn, where there is one
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
        assert all(result.ok for result in pool.map(jobs))
    assert killed >= 2
    assert set(children(os.getpid())) <= before  # zombies would be among them
    assert len(os.listdir("/proc/self/fd")) <= descriptors


FULL = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # from here on no file can grow, here or in any worker
from jaxerm.render import RenderPool
with RenderPool(1) as pool:
    for task, code in {[("svg", GOOD), ("table", "| a |" + chr(10) + "|---|"), ("chart", CHART)]!r}:
        print(pool.render(task, code).error)
"""


@linux_only
def test_no_render_needs_room_on_the_disk():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.split() == ["None"] * 3, done.stdout + done.stderr


def test_matplotlib_makes_no_folder_that_a_kill_would_leave(tmp_path):
    code = "import os\nfrom jaxerm.render import chart\nchart._import_matplotlib()\nos._exit(0)"
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert os.listdir(tmp_path) == []


def test_folders_of_workers_that_are_gone_are_removed_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old, young, alive = (sandbox.scratch_folder(pid) for pid in (ended.pid, 2**30, os.getpid()))
    for folder in (old, young, alive):
        folder.mkdir()
        (folder / "page.html").write_text("x")
    for folder in (old, alive):
        os.utime(folder, (0, 0))
    sandbox.remove_stale_folders()
    assert set(tmp_path.iterdir()) == {young, alive}


def test_a_full_disk_under_chromium_is_our_fault_and_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(chromium, "_NAMES", ("true",))
    monkeypatch.setattr(chromium.sandbox, "scratch_folder", lambda pid: tmp_path / "scratch")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DrawError, match="No space left") as error:
        chromium.Chromium()("<p>x</p>", 100, 10_000)
    assert error.value.kind == "infrastructure" and not (tmp_path / "scratch").exists()


def test_a_render_that_is_lost_is_tried_once_more_and_is_then_our_fault(monkeypatch):
    tries = 0

    def lost(self, code, timeout_s):
        nonlocal tries
        tries += 1
        raise process.WorkerError("infrastructure", "broken pipe")

    monkeypatch.setattr(process.Worker, "draw", lost)
    with RenderPool(1) as pool:
        result = pool.render("svg", GOOD)
    assert (result.fault, tries) == ("host", 2)


@pytest.mark.parametrize("lost", [2, 3])
def test_a_start_that_is_lost_is_no_try_at_a_render(monkeypatch, lost):
    starts = 0

    class Unlucky(process.Worker):
        def __init__(self, *arguments):
            nonlocal starts
            starts += 1
            if starts <= lost:
                raise process.WorkerError("infrastructure", "killed while starting")
            super().__init__(*arguments)

    monkeypatch.setattr(pool, "Worker", Unlucky)
    with RenderPool(1, options=SMALL) as few:
        result = few.render("svg", GOOD)
    assert (result.ok, starts) == (lost < STARTS, 3)


def test_a_worker_that_cannot_start_is_our_fault(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with RenderPool(1) as pool:
        result = pool.render("svg", GOOD)
    assert result.fault == "host" and "could not be started" in result.error.text
