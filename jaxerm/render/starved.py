"""Whether a process was late by its own doing, or because this machine hardly let it run, which is our fault."""

from __future__ import annotations

from pathlib import Path

Clock = tuple[float, float]
"""Seconds that a process has run, and seconds that it was ready to run and had to wait for a processor."""
UNBORN: Clock = (0.0, 0.0)
LEAST_S = 5.0
"""Seconds below which nothing is said: over a moment, any process may find the processors taken."""
TEXT = "this machine is too busy"


def clock(pid: int) -> Clock:
    """Of the first thread of `pid`, until it is reaped; zeros where the kernel does not tell."""
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return UNBORN
    return int(ran) / 1e9, int(waited) / 1e9


def starved(before: Clock, after: Clock, seconds: float) -> bool:
    """Whether between two readings a process waited for more than half of `seconds` and ran for less than a tenth.

    Code that sleeps does not wait in this sense, and a loop without end runs more than that on any machine with fewer
    than ten processes to a processor: neither passes for our fault.
    """
    ran, waited = after[0] - before[0], after[1] - before[1]
    return seconds >= LEAST_S and waited > seconds / 2 and ran < seconds / 10
