"""SIGTERM, which a cloud sends to a machine it wants back: the run saves where it is and leaves."""

from __future__ import annotations

import signal
import threading
from typing import Any

import jax
from jax.experimental import multihost_utils


class Preempted(Exception):
    """A run was asked to leave and has saved where it is. The message says how to go on."""

    exit_status = 0


class StopSignal:
    """Whether this run has been asked to leave; a context manager that puts the old handler back.

    Where several processes train together, the one that gets the signal tells the others, and all leave at one step.
    Outside a program's main thread no handler can be set, and nothing is ever asked.
    """

    def __init__(self):
        self._asked = threading.Event()
        self._looks = 0
        self._old: Any = None

    def __enter__(self) -> StopSignal:
        # JAX's own handler does this among processes, and must not be replaced.
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
        return self

    def __exit__(self, *_: Any) -> None:
        if self._old is not None:
            signal.signal(signal.SIGTERM, self._old)
            self._old = None

    def asked(self) -> bool:
        """To be called by every process, at the same points of the program."""
        if jax.process_count() > 1:
            self._looks += 1
            return bool(multihost_utils.reached_preemption_sync_point(self._looks))
        return self._asked.is_set()
