"""Progress of long work: a Rich bar in a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def _shown(value: Any) -> str:
    """A metric in few characters."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e6 else f"{number:.3g}"


def _duration(seconds: float) -> str:
    """``42 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


class Ticker:
    """Shows how far a loop is, with a few of its latest numbers.

    Args:
      title: what is going on, in a few words.
      total: steps of the whole run, those before a resume included.
      start: steps already done.
      every_s: least seconds between two plain lines when the stream is no terminal; the last step always shows.
      stream: where to; standard error by default, so that results can be piped.
      quiet: show nothing.
    """

    def __init__(
        self,
        title: str,
        total: int,
        start: int = 0,
        every_s: float = 20.0,
        stream: TextIO | None = None,
        quiet: bool = False,
    ):
        self.title, self.total, self.done, self.every_s, self.quiet = title, total, start, every_s, quiet
        self._stream = stream or sys.stderr
        self._began = self._spoke = time.monotonic()
        self._start = start
        self._bar: Progress | None = None
        if not quiet and self._stream.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=Console(file=self._stream),
            )
            self._task = self._bar.add_task(title, total=total, completed=start, numbers="")

    def __enter__(self) -> Ticker:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A line of its own, above the bar; shown even if the bar is not."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(f"{self.title}: {text}", file=self._stream, flush=True)

    def update(self, done: int, **numbers: Any) -> None:
        """Says that `done` steps of `total` are done; `numbers` are scalars to show."""
        self.done = done
        text = "  ".join(f"{name} {_shown(value)}" for name, value in numbers.items())
        if self._bar:
            self._bar.update(self._task, completed=done, numbers=text)
            return
        now = time.monotonic()
        if self.quiet or (now - self._spoke < self.every_s and done < self.total):
            return
        self._spoke = now
        pace = (now - self._began) / max(done - self._start, 1)
        left = _duration(pace * (self.total - done))
        left = f", {left} left" if done < self.total else f" in {_duration(now - self._began)}"
        print(f"{self.title}: {done}/{self.total}{left}{'  ' + text if text else ''}", file=self._stream, flush=True)
