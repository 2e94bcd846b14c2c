"""Resource limits: what a process may use up of memory, processor time, files."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use up.

    Attributes:
      memory_mb: address space in MiB, on top of what is mapped already.
      cpu_s: seconds of processor time from now on; None for no limit.
    """

    memory_mb: int = 2048
    cpu_s: float | None = None


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


def enter(limits: Limits) -> None:
    """Sets every limit for good."""
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
