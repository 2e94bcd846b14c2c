"""Landlock: files only read, and only those of the interpreter and its packages; no TCP, no signals to the outside."""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
import sysconfig
from pathlib import Path

from jaxerm.render.sandbox import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every processor
_READ_FILE, _READ_DIR, _WRITE_FILE, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI -> how many of the rights to files it knows; those it does not know it cannot take away."""
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache",
    "/dev/urandom",
)  # fmt: skip


def abi() -> int:
    """The version of Landlock this kernel speaks; 0 if it has none."""
    try:
        return kernel.syscall(_CREATE, None, 0, 1)
    except OSError:
        return 0


@functools.cache
def readable() -> list[str]:
    """What code may read: the interpreter, installed packages (fonts are among them), system libraries.

    Other folders on Python's path, such as a project that is being worked on, are not among them. Called once before
    the first layer is entered: inside one it could not find this out any more.
    """
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    libraries = [f"{prefix}/lib" for prefix in (sys.base_prefix, sys.base_exec_prefix)]
    # A relative name would be one of the folder that workers stand in, which is /proc.
    named = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if os.path.isabs(path)]
    own = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [path for path in dict.fromkeys([*own, *packages, *libraries, *named, *_SYSTEM]) if os.path.exists(path)]


def _allow(ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, parent)
        kernel.syscall(_ADD_RULE, ruleset, 1, ctypes.c_char_p(rule), 0)
    finally:
        os.close(parent)


def enter() -> None:
    """Restricts this process and its children for good. Raises OSError where the kernel has no Landlock."""
    version = abi()
    count = _FILE_RIGHTS[max([known for known in _FILE_RIGHTS if known <= version], default=1)]
    handled = (1 << count) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)  # to bind and to connect by TCP
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)  # abstract unix sockets and signals out of this domain
    ruleset = kernel.syscall(_CREATE, ctypes.c_char_p(attributes), len(attributes), 0)
    try:
        for path in readable():
            _allow(ruleset, path, _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0))
        _allow(ruleset, os.devnull, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled)
        kernel.syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
