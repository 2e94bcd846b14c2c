"""Who the process is: nobody, with no capabilities, never more again, and gone when its parent is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from jaxerm.render.sandbox import kernel

NOBODY = 65534
_DAC_READ_SEARCH = 1 << 2


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends; leaves at once if `parent` is gone."""
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants' orphans, so that it can find and kill them all."""
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Lets nobody but root read or trace this process."""
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def no_new() -> None:
    """No program that is executed from now on can have more rights than this process."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def _become_nobody(kept: int) -> None:
    parent = os.getppid()
    if os.geteuid() == 0:
        if kept:
            kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if sys.platform == "linux":
        kernel.keep_capabilities(kept)
        die_with_parent(parent)  # a change of user makes the kernel forget it


def become_nobody() -> None:
    """Root becomes nobody; anyone gives up every capability."""
    _become_nobody(0)


def become_reading_nobody() -> None:
    """Root becomes nobody who may read all the same: for an interpreter that stands in root's own folder.

    Nothing of root's can be written, signalled or traced any more. What may be read is for Landlock to say.
    """
    if os.geteuid() != 0:
        raise PermissionError("only root has that to keep")
    _become_nobody(_DAC_READ_SEARCH)


def is_less() -> bool:
    """Whether a change that only root may make is refused, and root cannot be had back."""
    for attack in (lambda: os.setgroups([0]), lambda: os.setuid(0)):
        with contextlib.suppress(OSError):
            attack()
            return False
    return True
