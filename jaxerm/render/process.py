"""One worker process as the pool sees it: started, asked, timed, killed with all its children, reaped."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

from jaxerm.render import sandbox, starved, wire
from jaxerm.render.errors import UnsafeRenderingError
from jaxerm.render.types import ErrorKind, RenderOptions, Task

GRACE_S = 2.0
"""Seconds a worker has, beyond the limit of a render, to end that render itself before it is killed as a whole."""

_CODE_SIGNALS = {
    signal.SIGSEGV: "crashed", signal.SIGBUS: "crashed", signal.SIGABRT: "crashed", signal.SIGFPE: "crashed",
    signal.SIGILL: "crashed", signal.SIGALRM: "timeout", signal.SIGXCPU: "timeout",
}  # fmt: skip
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT")


class WorkerError(Exception):
    """A render that ended without an answer.

    Attributes:
      kind: a kind of `RenderError`.
      retry: whether another try may end otherwise.
      lost: whether the worker is of no more use and must be killed.
    """

    def __init__(self, kind: ErrorKind, text: str, retry: bool | None = None, lost: bool = True) -> None:
        super().__init__(text)
        self.kind, self.lost = kind, lost
        self.retry = kind == "infrastructure" if retry is None else retry


def _environment() -> dict[str, str]:
    """The environment of a worker: nothing of ours but the way to the same packages, and one thread a library."""
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [path for path in sys.path if path]
    if package_root not in paths:
        paths.append(package_root)
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")}
    return {
        **kept, **threads, "PATH": "", "HOME": "/", "LANG": "C.UTF-8", "TZ": "UTC", 
        "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": sandbox.scratch_root(),
        "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg",
    }  # fmt: skip


class Worker:
    """A warm process that draws one task. Starting it waits until its engine is ready.

    Attributes:
      isolation: what the worker says stands between it and the machine.
      engine: what it draws with.
      notes: what the user should be told once, such as that another engine stepped in.

    Raises:
      WorkerError: it could not be started.
      UnsafeRenderingError: it would run code without the layers that code needs.
    """

    def __init__(self, task: Task, options: RenderOptions) -> None:
        self._options = options
        self._ids = itertools.count(1)
        self.isolation, self.engine, self.notes = "", "", []
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "jaxerm.render.worker", task, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("JAXERM_RENDER_DEBUG") else subprocess.DEVNULL,
                bufsize=0,
                env=_environment(),
                cwd="/proc" if os.path.isdir("/proc/self") else "/",  # nothing can be created there, not even by root
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerError("infrastructure", f"a render worker could not be started: {error}") from None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        wire.widen(self._stdout)
        deadline = time.monotonic() + options.start_timeout_s
        try:
            config = json.dumps(dataclasses.asdict(options)).encode()
            wire.write_all(self._stdin, wire.pack_request(0, 0, config), deadline)
            hello = wire.read_reply(self._stdout, options.max_pixels, deadline)
        except (wire.WireError, wire.DeadlineError, OSError) as error:
            text = f"the {task} worker did not start within {options.start_timeout_s:g} s: {error}; {self.kill()}"
            raise WorkerError("infrastructure", text) from None
        if unsafe := hello.meta.get("unsafe"):
            self.kill()
            raise UnsafeRenderingError(str(unsafe))
        if hello.status != wire.HELLO or "text" in hello.meta:
            self.kill()
            text = str(hello.meta.get("text", "no greeting"))
            raise WorkerError("infrastructure", f"the {task} worker cannot draw: {text}", retry=False)
        self.isolation = str(hello.meta.get("isolation", ""))
        self.engine = str(hello.meta.get("engine", ""))
        self.notes = [str(note) for note in hello.meta.get("notes", [])]

    def draw(self, code: bytes, timeout_s: float) -> wire.Reply:
        """Has `code`, UTF-8, drawn; the answer is an image or an error with `kind` and `text` in its meta data.

        Raises:
          WorkerError: there was no answer of use.
        """
        request = next(self._ids) & 0xFFFFFFFF
        deadline = time.monotonic() + timeout_s + GRACE_S
        before = starved.clock(self._process.pid)
        try:
            message = wire.pack_request(request, round(timeout_s * 1000), code)
            wire.write_all(self._stdin, message, deadline)
            reply = wire.read_reply(self._stdout, self._options.max_pixels, deadline)
        except wire.DeadlineError:
            raise self._late(before, timeout_s) from None
        except (wire.WireError, OSError) as error:
            raise self._post_mortem(str(error), before, timeout_s) from None
        if reply.request != request or reply.status == wire.HELLO:
            raise WorkerError("infrastructure", f"answer {reply.request} came to request {request}")
        if reply.meta.get("kind") == "infrastructure":
            raise WorkerError("infrastructure", str(reply.meta.get("text", "")))
        if reply.meta.get("kind") == "starved":
            raise WorkerError("infrastructure", str(reply.meta.get("text", "")), lost=False)
        if reply.meta.get("kind") == "killed":
            # Inside seccomp code cannot have killed itself: if it was not out of memory, someone else did it.
            kind = "infrastructure" if "seccomp" in self.isolation else "crashed"
            raise WorkerError(kind, str(reply.meta.get("text", "")), retry=True, lost=False)
        if reply.meta.get("kind", "exception") not in get_args(ErrorKind):
            raise WorkerError("infrastructure", f"unknown kind of error: {reply.meta['kind']!r}")
        return reply

    def _late(self, before: starved.Clock, timeout_s: float) -> WorkerError:
        """Whose fault it was that there is no answer in time."""
        if starved.starved(before, starved.clock(self._process.pid), timeout_s):
            return WorkerError("infrastructure", f"{starved.TEXT}: not drawn within {timeout_s:g} s")
        return WorkerError("timeout", f"not drawn within {timeout_s:g} s")

    def _post_mortem(self, error: str, before: starved.Clock, timeout_s: float) -> WorkerError:
        """What the way it died says about whose fault it was: a signal that code can raise, or anything else."""
        code = self._ended(within_s=1.0)
        if code is not None and code < 0 and (kind := _CODE_SIGNALS.get(signal.Signals(-code))):
            if kind == "timeout":
                return self._late(before, timeout_s)
            return WorkerError("crashed", f"the engine crashed with {signal.Signals(-code).name}")
        how = "is still running" if code is None else f"ended with {signal.Signals(-code).name if code < 0 else code}"
        return WorkerError("infrastructure", f"the render worker was lost: {error}; its process {how}")

    @property
    def ended(self) -> bool:
        """Whether the process has ended, though nobody asked it to."""
        return self._ended(within_s=0.0) is not None

    def kill(self) -> str:
        """Kills the process and its whole group, reaps it, closes its pipes; says how it ended. May be called twice."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._reap()

    def close(self) -> None:
        """Lets the process end by itself for a moment, then kills it."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._ended(within_s=0.5)
        self.kill()

    def _ended(self, within_s: float) -> int | None:
        """The exit code, as subprocess counts it, once the process has ended; None if it runs on.

        It is not reaped yet: until then its number, which is also that of its group, cannot become another's.
        """
        until = time.monotonic() + within_s
        while not (info := os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            if time.monotonic() > until:
                return None
            time.sleep(0.002)
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _reap(self) -> str:
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(sandbox.scratch_folder(self._process.pid), ignore_errors=True)
        return f"its process ended with {code}"
