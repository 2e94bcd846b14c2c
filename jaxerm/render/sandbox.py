"""Layers between drawn code and the machine, each with a name; what is in force is said in every result.

A layer is a function that gives something up for good, in the process that calls it. Layers are entered in order.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 36, 4, 38
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use up.

    Attributes:
      memory_mb: address space in MiB, on top of what is mapped already.
      cpu_s: seconds of processor time from now on; None for no limit.
    """

    memory_mb: int = 2048
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `enter` raises OSError where the machine does not have it."""

    name: str
    enter: Callable[[Limits], None]


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends; leaves at once if `parent` is gone."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants' orphans, so that it can find and kill them all."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _mapped_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _lower(limit: int, soft: int, hard: int | None = None) -> None:
    """Sets a limit, never above what the process was given."""
    given = resource.getrlimit(limit)[1]
    hard = soft if hard is None else hard
    if given != resource.RLIM_INFINITY:
        soft, hard = min(soft, given), min(hard, given)
    resource.setrlimit(limit, (soft, hard))


def _enter_rlimits(limits: Limits) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, 64)
    if sys.platform == "linux":  # macOS knows the names and refuses the values
        _lower(resource.RLIMIT_NPROC, 0)
        _lower(resource.RLIMIT_AS, _mapped_bytes() + limits.memory_mb * 2**20)
    if limits.cpu_s is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(usage.ru_utime + usage.ru_stime + limits.cpu_s) + 1
        _lower(resource.RLIMIT_CPU, seconds, seconds + 1)


def _enter_nobody(_: Limits) -> None:
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _enter_no_new_privileges(_: Limits) -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


RLIMITS = Layer("rlimits", _enter_rlimits)
UNPRIVILEGED = Layer("unprivileged", _enter_nobody)
NO_NEW_PRIVILEGES = Layer("nonewprivs", _enter_no_new_privileges)


def drawing_layers() -> Sequence[Layer]:
    """The layers of a process that only feeds a drawing library."""
    return (RLIMITS,)


def code_layers() -> Sequence[Layer]:
    """The layers of a process that runs the code itself."""
    return (NO_NEW_PRIVILEGES, UNPRIVILEGED, RLIMITS)


def enter(layers: Sequence[Layer], limits: Limits) -> str:
    """Enters every layer in order and names them: "process+rlimits". Raises OSError if one is refused."""
    for layer in layers:
        layer.enter(limits)
    return "+".join(["process", *(layer.name for layer in layers)])


def scratch_folder(pid: int) -> Path:
    """The one folder that the worker `pid` may make for itself; whoever reaps the worker removes it."""
    return Path(tempfile.gettempdir()) / f"jaxerm-render-{pid}"


def available(layers: Sequence[Layer], still_works: Callable[[], object]) -> Sequence[Layer]:
    """Those of `layers` that this machine grants, each tried in a child of its own on top of the ones before.

    A layer inside which `still_works` raises, such as a user who cannot read the installed packages, does not count.
    """
    granted: list[Layer] = []
    for layer in layers:
        pid = os.fork()
        if pid == 0:
            try:
                for one in [*granted, layer]:
                    one.enter(Limits())
                still_works()
                os._exit(0)
            finally:
                os._exit(1)
        if os.waitpid(pid, 0)[1] == 0:
            granted.append(layer)
    return tuple(granted)
