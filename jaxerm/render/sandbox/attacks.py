"""Whether a layer holds: each function attacks from inside it and raises Breach where it got through.

A call that enters a layer can return 0 and do nothing (old kernels, emulated ones): only trying tells.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from jaxerm.render.sandbox import kernel, landlock, privileges
from jaxerm.render.sandbox.limits import Limits


class Breach(Exception):
    """An attack that a layer should have stopped."""


def _refused(attack: Callable[..., object], *arguments: object) -> None:
    """Expects EPERM or EACCES; that something is missing or busy does not show that it was forbidden."""
    try:
        attack(*arguments)
    except PermissionError:
        return
    except OSError as error:
        raise Breach(f"{attack} was not forbidden, it failed otherwise: {error}") from None
    raise Breach(f"{attack} was not refused")


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.unlink()


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def _memory_file() -> int:
    return kernel.syscall(kernel.MEMFD_CREATE, ctypes.c_char_p(b"attack"), 0)


def _new_file() -> Path:
    return Path("/tmp" if os.path.isdir("/tmp") else "/dev") / f"jaxerm-attack-{os.getpid()}"


def limits() -> None:
    """Takes twice the memory, and writes into a file that is in memory only."""
    if sys.platform != "linux":
        return
    size = 2 * Limits().memory_mb << 20
    reserve_only = 0x4000  # MAP_NORESERVE: nothing but a limit on address space can be in the way
    with contextlib.suppress(OSError):
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | reserve_only, mmap.PROT_READ)
        raise Breach(f"{size} bytes of memory were granted")
    with contextlib.suppress(OSError):
        os.write(_memory_file(), b"x")
        raise Breach("a file was written")


def no_new_privileges() -> None:
    """Asks, for once: not every machine has a set-user-ID program to try."""
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        raise Breach("programs may still gain privileges")


def unprivileged() -> None:
    """Does what only root may."""
    if not privileges.is_less():
        raise Breach("this is still root")


def files_and_signals() -> None:
    """Reads and writes elsewhere; connects and signals where this Landlock should know of that."""
    _refused(os.listdir, "/")
    _refused(os.open, "/proc/self/status", os.O_RDONLY)
    _refused(_create, _new_file())
    _refused(os.symlink, "/", _new_file())
    os.close(os.open(os.devnull, os.O_WRONLY | os.O_TRUNC))
    if landlock.abi() >= 4:
        with socket.socket() as tcp:
            _refused(tcp.connect, ("127.0.0.1", 9))
    if landlock.abi() >= 6:
        _refused(os.kill, os.getppid(), 0)


def system_calls() -> None:
    """Starts processes, opens sockets, makes and removes files, signals, traces."""
    _refused(_fork)
    _refused(os.execv, "/nonexistent", ["x"])
    for family in (socket.AF_INET, socket.AF_UNIX):
        _refused(socket.socket, family, socket.SOCK_DGRAM)
    _refused(socket.socketpair)
    _refused(os.kill, os.getppid(), 0)
    _refused(os.kill, os.getpid(), signal.SIGCONT)
    _refused(_memory_file)
    _refused(os.mkdir, "/nonexistent/folder")
    _refused(os.unlink, "/nonexistent/file")
    _refused(_create, _new_file())
    _refused(kernel.syscall, kernel.PTRACE, 0, 0, 0, 0)  # PTRACE_TRACEME


def network(port: int) -> Callable[[], None]:
    """Connects to `port` on this machine, where someone listens."""

    def attack() -> None:
        with contextlib.suppress(OSError), socket.socket() as tcp:
            tcp.settimeout(1.0)
            tcp.connect(("127.0.0.1", port))
            raise Breach("the network of this machine is still there")

    return attack
