"""When the device computes and when it waits, seen from the host: spans of dispatched work, and what they leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

Span = tuple[str, float, float]
"""What, from when, to when, in seconds of `time.monotonic`."""


class Clock:
    """Spans of one stretch of time: ``device`` of work on the device, ``host`` of what the host did or waited for."""

    def __init__(self):
        self.began = time.monotonic()
        self.device: list[Span] = []
        self.host: list[Span] = []
        self._watching: list[threading.Thread] = []

    def watch(self, name: str, outputs: Any, began: float) -> None:
        """Notes when the outputs of a program dispatched at `began` are there, without waiting for them."""

        def wait() -> None:
            jax.block_until_ready(outputs)
            self.device.append((name, began, time.monotonic()))

        thread = threading.Thread(target=wait, name=f"clock-{name}", daemon=True)
        thread.start()
        self._watching.append(thread)

    @contextmanager
    def doing(self, name: str) -> Iterator[None]:
        """Notes what the host does inside, and under the same name the work it gives the device (see `dispatched`)."""
        began = time.monotonic()
        token = _CURRENT.set((self, name))
        try:
            yield
        finally:
            _CURRENT.reset(token)
            self.host.append((name, began, time.monotonic()))

    def figures(self) -> dict[str, float]:
        """Seconds of each kind of work as ``NAME_s``, the device's where it has a part in it; ``idle``, the share of
        the time since the clock was made in which the device had nothing to do."""
        for thread in self._watching:
            thread.join()
        total = time.monotonic() - self.began
        on_device = {name for name, _, _ in self.device}
        spans = [*self.device, *(span for span in self.host if span[0] not in on_device)]
        names = dict.fromkeys(name for name, _, _ in spans)
        seconds = {f"{name}_s": covered([s for s in spans if s[0] == name]) for name in names}
        return {**seconds, "idle": max(0.0, 1 - covered(self.device) / total) if total > 0 else 0.0}

    def spans(self) -> list[dict[str, Any]]:
        """All spans as JSON values, in seconds since the clock was made."""
        rows = [("device", span) for span in self.device] + [("host", span) for span in self.host]
        rows.sort(key=lambda row: row[1][1])
        return [
            {"on": on, "name": name, "from": round(start - self.began, 4), "to": round(end - self.began, 4)}
            for on, (name, start, end) in rows
        ]


_CURRENT: ContextVar[tuple[Clock, str] | None] = ContextVar("clock", default=None)


def dispatched(outputs: Any, began: float) -> None:
    """To be called where a program has been dispatched; nothing happens where no clock runs.

    Args:
      outputs: of the program; not donated to the next.
      began: when it was dispatched.
    """
    if (current := _CURRENT.get()) is not None:
        clock, name = current
        clock.watch(name, outputs, began)


def covered(spans: list[Span]) -> float:
    """Seconds in at least one of the spans."""
    total, end = 0.0, float("-inf")
    for _, start, stop in sorted(spans, key=lambda span: span[1]):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
