"""The pool: order, bounded memory, an end to what hangs, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from jaxerm.render import RenderOptions, RenderPool, wire
from tests.render.conftest import children

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
GOOD = '<svg viewBox="0 0 8 8"><rect width="4" height="8"/></svg>'
CHART = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
USE_BOMB = (
    "<svg>"
    + '<g id="a0"><rect width="1" height="1"/></g>'
    + "".join(f'<g id="a{i}">' + f'<use href="#a{i - 1}"/>' * 10 + "</g>" for i in range(1, 10))
    + '<use href="#a9"/></svg>'
)


def circle(radius: int) -> str:
    return f'<svg viewBox="0 0 64 64"><circle cx="32" cy="32" r="{radius}"/></svg>'


@pytest.fixture(scope="module")
def pool():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", "hunter2")
        with RenderPool(workers=1, timeout_s=3, options=RenderOptions(svg_size=64, memory_mb=512)) as pool:
            yield pool


def test_map_keeps_the_order():
    with RenderPool(workers=2, options=RenderOptions(svg_size=64)) as pool:
        sizes = [3 + i % 25 for i in range(60)]
        inked = [(r.image < 128).sum() for r in pool.map(("svg", circle(size)) for size in sizes)]
        alone = {size: (pool.render("svg", circle(size)).image < 128).sum() for size in set(sizes)}
    assert inked == [alone[size] for size in sizes]


def test_map_reads_a_bounded_number_of_items_ahead():
    taken = 0

    def items():
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield "svg", GOOD

    with RenderPool(workers=1, options=RenderOptions(svg_size=64)) as pool:
        results = pool.map(items())
        next(results)
        assert taken <= 4
        results.close()


def test_a_hanging_engine_is_killed_and_the_pool_goes_on(pool):
    result = pool.render("svg", USE_BOMB)
    assert (result.error.kind, result.fault) == ("timeout", "code")
    assert pool.render("svg", GOOD).ok


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import time; time.sleep(60)", "timeout"),
        ("import os; os._exit(3)", "crashed"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
    ],
)
def test_charts_that_end_badly_cost_one_render(pool, code, kind):
    result = pool.render("chart", code)
    assert (result.error.kind, result.fault) == (kind, "code"), result.error
    assert pool.render("chart", CHART).ok


def test_charts_that_print_a_lot_draw(pool):
    assert pool.render("chart", "print('x' * 100_000)\n" + CHART).ok


@linux_only
def test_many_renders_in_one_pool_do_not_grow():
    def measure(pid):
        status = Path(f"/proc/{pid}/status").read_text()
        # Only root may look at the descriptors of a process that hides its memory.
        descriptors = len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 0
        return int(status.split("VmRSS:")[1].split()[0]), descriptors

    jobs = [("svg", GOOD), ("table", "| a |\n|---|\n| 1 |"), ("chart", CHART)]
    others = set(children(os.getpid()))
    with RenderPool(1, timeout_s=60, options=RenderOptions(svg_size=64)) as pool:
        for _ in pool.map(jobs * 5):
            pass
        before = {pid: measure(pid) for pid in set(children(os.getpid())) - others}
        for _ in pool.map(jobs * 15):
            pass
        assert set(children(os.getpid())) - others == set(before)
        for pid, (resident, descriptors) in before.items():
            assert measure(pid)[0] < resident + 8 * 1024  # KiB
            assert measure(pid)[1] == descriptors


@linux_only
def test_nothing_is_left_behind():
    temporary = set(os.listdir(tempfile.gettempdir()))
    before = set(children(os.getpid()))
    descriptors = len(os.listdir("/proc/self/fd"))
    with RenderPool(workers=1, timeout_s=0.5, options=RenderOptions(svg_size=64)) as pool:
        jobs = [
            ("svg", GOOD),
            ("table", "| a |\n|---|"),
            ("chart", CHART),
            ("chart", "while True: pass"),
            ("svg", USE_BOMB),
        ]
        list(pool.map(jobs))
        assert set(children(os.getpid())) - before
    assert set(children(os.getpid())) <= before
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    left = set(os.listdir(tempfile.gettempdir())) - temporary
    assert not [name for name in left if "matplotlib" in name or name.startswith("jaxerm")]


@linux_only
def test_grandchildren_of_a_chart_die_with_it(pool):
    code = (
        "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        while True: time.sleep(1)\n" + CHART
    )
    pool.render("chart", code)  # where forking is refused this is an exception, else it draws; either way:
    workers = [pid for pid in children(os.getpid()) if b"worker\0chart" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert workers and not any(children(pid) for pid in workers)


@linux_only
def test_workers_end_when_their_parent_is_killed():
    script = (
        "import time\nfrom jaxerm.render import RenderPool\npool = RenderPool(1, timeout_s=100)\n"
        f"pool.render('svg', {GOOD!r})\npool.submit('svg', {USE_BOMB!r})\n"
        "time.sleep(0.2)\nprint('ready', flush=True)\ntime.sleep(100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout.readline() == b"ready\n"
    workers = children(parent.pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers):
        assert time.monotonic() < until, "a worker outlived its parent"
        time.sleep(0.02)
    assert workers


def test_a_closed_pool_refuses_and_closes_twice():
    pool = RenderPool(1)
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit("svg", GOOD)


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"timeout_s": 0}])
def test_senseless_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RenderPool(**arguments)


def test_unknown_task_is_refused(pool):
    with pytest.raises(ValueError, match="poem"):
        pool.submit("poem", "x")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (wire.REPLY.pack(b"nope", 1, wire.IMAGE, 0, 1, 1, 0.0), "not a reply"),
        (wire.REPLY.pack(b"jxr1", 1, wire.IMAGE, 0, 1 << 31, 1 << 31, 0.0), "pixels"),
        (wire.REPLY.pack(b"jxr1", 1, wire.ERROR, wire.MAX_META + 1, 0, 0, 0.0), "not a reply"),
        (wire.REPLY.pack(b"jxr1", 1, wire.IMAGE, 0, 9, 9, 0.0), "end of file"),
        (wire.REPLY.pack(b"jxr1", 1, wire.ERROR, 9, 0, 0, 0.0) + b"[" * 9, "not JSON"),
    ],
)
def test_a_malformed_answer_is_refused_before_it_costs_memory(header, why):
    receive, send = os.pipe()
    try:
        os.write(send, header)
        os.close(send)
        with pytest.raises(wire.WireError, match=why):
            wire.read_reply(receive, max_pixels=1000)
    finally:
        os.close(receive)
