"""Overlap: the order of the stages, what it saves, and how idle time is counted."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxerm.device_clock import Clock, covered, dispatched
from jaxerm.train.overlap import staged


@pytest.mark.parametrize(
    ("ahead", "order"),
    [
        (True, "g0 g1 r0 g2 r1 s0 r2 s1 s2"),
        (False, "g0 r0 s0 g1 r1 s1 g2 r2 s2"),
    ],
)
def test_parts_go_through_the_stages_in_a_fixed_order(ahead, order):
    seen = []

    def stage(name):
        def work(number, *before):
            seen.append(f"{name}{number}")
            return (name, number, *before)

        return work

    results = staged(3, stage("g"), stage("r"), stage("s"), ahead=ahead)
    assert " ".join(seen) == order
    assert results == [("s", k, ("r", k, ("g", k))) for k in range(3)]


def test_a_fault_in_a_stage_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        staged(2, lambda k: k, lambda k, g: g, lambda k, r: 1 // (1 - k))


def test_the_next_part_is_on_the_device_while_the_host_waits_for_renders():
    """No clock is read: the render of part 0 ends only once part 1 is being generated."""
    second_began = threading.Event()
    with ThreadPoolExecutor(1) as device, ThreadPoolExecutor(1) as workers:

        def generate(number):
            return device.submit(lambda: second_began.set() if number == 1 else None)

        def render(number, begun):
            begun.result()
            return workers.submit(lambda: second_began.wait(10) or number == 1)

        assert all(staged(2, generate, render, lambda _, drawing: drawing.result()))


def test_covered_counts_overlapping_spans_once():
    assert covered([("a", 0.0, 2.0), ("b", 1.0, 3.0), ("c", 5.0, 6.0), ("d", 5.2, 5.4)]) == pytest.approx(4.0)
    assert covered([]) == 0.0


def test_a_clock_tells_the_devices_work_from_waiting_for_it():
    clock = Clock()
    clock.began -= 10.0
    with clock.doing("generate"):
        dispatched((), time.monotonic() - 4.0)
    dispatched((), time.monotonic() - 9.0)  # outside: nobody's
    clock.host.append(("render", clock.began + 1.0, clock.began + 3.0))
    figures = clock.figures()
    assert set(figures) == {"generate_s", "render_s", "idle"}
    assert figures["generate_s"] == pytest.approx(4.0, abs=0.5) and figures["render_s"] == pytest.approx(2.0)
    assert figures["idle"] == pytest.approx(0.6, abs=0.05)
    assert [span["name"] for span in clock.spans()][0] == "render"
