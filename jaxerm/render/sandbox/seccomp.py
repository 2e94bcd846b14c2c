"""Seccomp: a list of the system calls that drawing needs; every other one is refused. Built for x86-64 and aarch64."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from jaxerm.render.sandbox import kernel

# name: numbers on (x86-64, aarch64); None where the processor has no such call. From the kernel's unistd.h.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    # reading and writing what is open
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "lseek": (8, 62), "close": (3, 57), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "pipe2": (293, 59),
    # files that Landlock lets be read
    "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49),
    "statfs": (137, 43), "fstatfs": (138, 44), "fadvise64": (221, 223), "umask": (95, 166),
    # memory
    "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226), "madvise": (28, 233),
    "brk": (12, 214), "membarrier": (324, 283), "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293),
    # time, and signals within the process
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getitimer": (36, 102),
    "setitimer": (38, 103), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "pause": (34, None),
    "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137),
    # asking about oneself
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getpgrp": (111, None),
    "getrusage": (98, 165), "getrlimit": (97, 163), "getrandom": (318, 278), "uname": (63, 160), "sysinfo": (99, 179),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_OPEN = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
"""name: (numbers, which argument holds the flags)."""
_IOCTL, _FCNTL, _PRLIMIT, _CLONE3 = (16, 29), (72, 25), (302, 261), (435, 435)
_IOCTLS = (0x5401, 0x5413, 0x5451, 0x541B)  # TCGETS, TIOCGWINSZ, FIOCLEX, FIONREAD
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_Instruction = tuple[int, int, int, int]


def _argument(index: int, high: bool = False) -> _Instruction:
    """Loads one half of an argument; both processors are little-endian."""
    return (_LOAD, 0, 0, 16 + 8 * index + 4 * high)


def _return(what: int) -> _Instruction:
    return (_RETURN, 0, 0, what)


def _block(number: int, body: Sequence[_Instruction]) -> list[_Instruction]:
    """`body` for this call; a body ends with a return on every path."""
    return [(_EQUAL, 0, len(body), number), *body]


def _one_of(index: int, values: Sequence[int]) -> list[_Instruction]:
    """Allows the call if its argument, an int, is one of `values`."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, _return(_ERROR | errno.EPERM), _return(_ALLOW)]


def program(machine: str, may_open_to_write: bool) -> bytes:
    """The filter in the kernel's classic BPF.

    Args:
      machine: "x86_64" or "aarch64".
      may_open_to_write: whether files may be opened for writing at all; only where Landlock says which.
    """
    column = ("x86_64", "aarch64").index(machine)
    refuse = _return(_ERROR | errno.EPERM)
    code: list[_Instruction] = [
        (_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), _return(_KILL),
        (_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, 0x40000000), _return(_KILL),  # the x32 calls of x86-64
    ]  # fmt: skip
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            code += _block(number, [_return(_ALLOW)])
    for numbers, flags in _OPEN.values():
        if (number := numbers[column]) is not None:
            only_read = [_argument(flags), (_ANY_BIT, 0, 1, _WRITES), refuse, _return(_ALLOW)]
            code += _block(number, [_return(_ALLOW)] if may_open_to_write else only_read)
    code += _block(_IOCTL[column], _one_of(1, _IOCTLS))
    code += _block(_FCNTL[column], _one_of(1, _FCNTLS))
    # A limit may be read, not set: the pointer to the new one has to be null.
    null = [_argument(2), (_EQUAL, 1, 0, 0), refuse, _argument(2, high=True), (_EQUAL, 1, 0, 0), refuse]
    code += _block(_PRLIMIT[column], [*null, _return(_ALLOW)])
    code += _block(_CLONE3[column], [_return(_ERROR | errno.ENOSYS)])  # libc then asks for clone, and is refused
    code.append(refuse)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def enter(may_open_to_write: bool) -> None:
    """Filters the calls of this process for good. Raises OSError where that cannot be done."""
    if kernel.MACHINE is None:
        raise OSError(errno.ENOSYS, "no list of system calls for this processor")
    code = program(kernel.MACHINE, may_open_to_write)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(header))
