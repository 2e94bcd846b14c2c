"""The pool: threads that own worker processes, a wall clock that kills, order kept, memory bounded."""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import numpy as np

from jaxerm.render.process import Worker, WorkerError
from jaxerm.render.types import RenderError, RenderOptions, RenderResult, Task, check_task, is_blank

ATTEMPTS = 2
"""Tries at one render where the host is, or may be, at fault: the first, and one more."""
STARTS = 3
"""Tries at starting a worker. A start is no try at a render: nothing has been asked of the worker yet."""
IDLE_S = 1.0
"""Seconds an idle thread waits before it looks whether one of its worker processes has died."""

_LOG = logging.getLogger(__name__)
_warned: set[str] = set()
_warned_lock = threading.Lock()


def _warn_once(note: str) -> None:
    with _warned_lock:
        if note in _warned:
            return
        _warned.add(note)
    warnings.warn(note, RuntimeWarning, stacklevel=2)


def _bury(owned: dict[Task, Worker]) -> None:
    """Reaps the worker processes that were killed while nothing was asked of them."""
    for task, worker in list(owned.items()):
        if worker.ended:
            worker.kill()
            del owned[task]


class RenderPool:
    """Draws code in worker processes, never in this one.

    A worker process is started at the first render of its task and then kept warm: at most `workers` for each task
    in use. All methods may be called from any thread. No `if __name__ == "__main__"` guard is needed.

        with RenderPool(workers=2) as pool:
            result = pool.render("svg", '<svg viewBox="0 0 8 8"><circle cx="4" cy="4" r="3"/></svg>')

    Args:
      workers: renders that run at the same time.
      timeout_s: wall-clock seconds one render may take before its process is killed.
      options: how code is drawn.

    Attributes:
      isolation: task -> what stands between its code and this machine, as in each result. Filled as workers start.
      notes: what the user should know of this machine, such as a layer of isolation or an engine it lacks. Each is
        also a RuntimeWarning, once a process. Filled as workers start.

    Raises:
      UnsafeRenderingError: from the future of a chart, where this machine cannot hold the code of one; see
        `RenderOptions.allow_unsafe_rendering`.
    """

    def __init__(self, workers: int = 2, timeout_s: float = 15.0, options: RenderOptions | None = None) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; it must be at least 1")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s is {timeout_s}; it must be positive")
        self.workers, self.timeout_s = workers, timeout_s
        self.options = options or RenderOptions()
        self.isolation: dict[Task, str] = {}
        self.notes: list[str] = []
        self._jobs: queue.SimpleQueue[tuple[Task, str, Future] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> RenderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, task: Task, code: str) -> Future[RenderResult]:
        """Queues `code` and returns a future of its result.

        What becomes of the code never raises. The future raises UnsafeRenderingError for every chart on a machine
        that cannot hold one.

        Raises:
          ValueError: an unknown task.
          RuntimeError: the pool is closed.
        """
        check_task(task)
        future: Future[RenderResult] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the render pool is closed")
            if len(self._threads) < self.workers:
                thread = threading.Thread(target=self._serve, name=f"render-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._jobs.put((task, code, future))
        return future

    def render(self, task: Task, code: str) -> RenderResult:
        """Draws `code` and waits for the result."""
        return self.submit(task, code).result()

    def map(self, items: Iterable[tuple[Task, str]]) -> Iterator[RenderResult]:
        """Yields the result of every (task, code), in order; reads at most 4 x `workers` items ahead."""
        pending: deque[Future[RenderResult]] = deque()
        try:
            for task, code in items:
                pending.append(self.submit(task, code))
                if len(pending) >= 4 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # the caller stopped early
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Finishes what runs, cancels what waits, and ends every worker process. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[2].cancel()
        except queue.Empty:
            pass
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """One thread: takes jobs, owns one worker process for each task."""
        owned: dict[Task, Worker] = {}
        try:
            while True:
                try:
                    job = self._jobs.get(timeout=IDLE_S if owned else None)
                except queue.Empty:
                    _bury(owned)
                    continue
                if job is None:
                    return
                task, code, future = job
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(self._draw(owned, task, code))
                except BaseException as error:  # a bug of ours must reach the caller, not end the thread
                    future.set_exception(error)
        finally:
            for worker in owned.values():
                worker.close()

    def _draw(self, owned: dict[Task, Worker], task: Task, code: str) -> RenderResult:
        if not isinstance(code, str) or not code.strip():
            return RenderResult(None, RenderError("no_code", "there is no code to draw"), 0.0, "", "")
        data = code.encode("utf-8", "replace")
        limit = self.options.max_code_bytes
        if len(data) > limit:
            text = f"the code has {len(data)} bytes; the limit is {limit}"
            return RenderResult(None, RenderError("too_large", text), 0.0, "", "")
        started = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            worker = None
            try:
                worker = self._worker(owned, task)
                return self._result(worker, worker.draw(data, self.timeout_s))
            except WorkerError as error:
                if worker is not None and error.lost:
                    worker.kill()
                    owned.pop(task, None)
                if not error.retry or attempt == ATTEMPTS:
                    isolation, engine = (worker.isolation, worker.engine) if worker is not None else ("", "")
                    seconds = time.monotonic() - started
                    return RenderResult(None, RenderError(error.kind, str(error)), seconds, isolation, engine)
        raise AssertionError("unreachable")

    def _worker(self, owned: dict[Task, Worker], task: Task) -> Worker:
        """The worker of this thread for `task`; a new one where there is none, or where it has died while idle."""
        _bury(owned)
        for tries_left in reversed(range(STARTS)):
            if task in owned:
                break
            try:
                owned[task] = Worker(task, self.options)
                self._tell(task, owned[task])
            except WorkerError as error:
                if not error.retry or not tries_left:
                    raise WorkerError(error.kind, str(error), retry=False) from None
        return owned[task]

    def _tell(self, task: Task, worker: Worker) -> None:
        _LOG.info("%s is drawn by %s in %s", task, worker.engine, worker.isolation)
        with self._lock:
            self.isolation = {**self.isolation, task: worker.isolation}  # others may be reading the one before
        for note in worker.notes:
            with self._lock:
                if note in self.notes:
                    continue
                self.notes.append(note)
            _warn_once(note)

    def _result(self, worker: Worker, reply) -> RenderResult:
        meta = reply.meta
        engine = str(meta.get("engine", worker.engine))
        if "kind" in meta:
            # Part of it may be the code's own words: no half characters, no sequences that steer a terminal.
            text = "".join(c if c.isprintable() else "\ufffd" for c in str(meta.get("text", "")))
            error = RenderError(meta["kind"], text)
            return RenderResult(None, error, reply.seconds, worker.isolation, engine)
        image = np.frombuffer(reply.pixels, np.uint8).reshape(reply.height, reply.width, 3)
        error = None
        if self.options.blank_is_error and is_blank(image):
            error = RenderError("blank", f"all {reply.height} x {reply.width} pixels have one colour")
        return RenderResult(image, error, reply.seconds, worker.isolation, engine)
