"""The few system calls that Python has no name for, through ctypes; OSError where the kernel refuses or lacks one."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

MACHINE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower()
)
"""The processor, if it is one whose system calls we know."""

MEMFD_CREATE, PTRACE = {"x86_64": (319, 101), "aarch64": (279, 117)}.get(MACHINE, (-1, -1))
"""Numbers of two calls to attack with; not every build of Python has a name for the first."""

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP = 1, 4, 8, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 36, 38, 39


def _call(name: str, *arguments: object) -> int:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"{name} is Linux's")
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """`syscall(2)`; integers are passed as long."""
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _call("syscall", ctypes.c_long(number), *passed)


def prctl(option: int, value: int = 0, pointer: object = 0) -> int:
    """`prctl(2)`."""
    passed = ctypes.c_ulong(pointer) if isinstance(pointer, int) else pointer
    return _call("prctl", option, ctypes.c_ulong(value), passed, ctypes.c_ulong(0), ctypes.c_ulong(0))


def unshare(flags: int) -> int:
    """`unshare(2)`."""
    return _call("unshare", flags)


def keep_capabilities(kept: int) -> None:
    """Gives up every capability but those in the bit mask `kept` (of the first 32)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    data = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)  # effective, permitted, inheritable; low and high words
    _call("capset", header, data)
