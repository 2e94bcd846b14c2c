"""The layers between drawn code and the machine, each with a name and the attack that shows whether it holds.

A layer is a function that gives something up for good, in the process that calls it. Layers are entered in order.
What is in force is said in every result.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxerm.render.sandbox import attacks, landlock, limits, namespaces, privileges, seccomp
from jaxerm.render.sandbox.limits import Limits

PROBE_S = 10
"""Seconds one probe may take before the layer counts as missing."""
PROBES = 5
"""How often a probe that was killed is tried again."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
      name: as it stands in `isolation`.
      enter: enters it; raises OSError where the machine does not have it.
      attack: raises, from inside, unless the layer holds.
      role: of the layers of one role the first that holds is taken; the name if not given.
      needs: the role without which this layer is not to be entered.
    """

    name: str
    enter: Callable[[Limits], None]
    attack: Callable[[], None]
    role: str = ""
    needs: str = ""

    @property
    def purpose(self) -> str:
        """The role, or the name where there is only one of its kind."""
        return self.role or self.name


NAMESPACES = "namespaces"
NO_NEW_PRIVILEGES = Layer("nonewprivs", lambda _: privileges.no_new(), attacks.no_new_privileges)
UNPRIVILEGED = Layer("unprivileged", lambda _: privileges.become_nobody(), attacks.unprivileged)
READING_NOBODY = Layer(
    "unprivileged-reader", lambda _: privileges.become_reading_nobody(), attacks.unprivileged, role="unprivileged"
)
RLIMITS = Layer("rlimits", limits.enter, attacks.limits)
_CALLS = [
    Layer("seccomp", lambda _, write=write: seccomp.enter(may_open_to_write=write), attacks.system_calls, needs=needs)
    for write, needs in ((True, "landlock"), (False, ""))
]
REQUIRED = frozenset({"rlimits", "seccomp"})
"""Without these, code that a model wrote is not run unless the user says so."""


_WITHOUT = {
    NAMESPACES: "only seccomp closes the network; allow user namespaces on this machine or in its container",
    "nonewprivs": "a set-user-ID program could be used; needs Linux 3.5",
    "rlimits": "code may take all memory and processor time",
    "landlock": "code may read every file that this user may; take Linux 5.13 or newer with landlock in its lsm=, or a "
    "user who may read nothing of value",
    "unprivileged": "code runs as root; start as another user",
    "seccomp": "code may start programs, signal others and use the network; take Linux on x86-64 or ARM",
}
"""What it means to lack a layer, and the way out."""


def all_layers() -> Sequence[Layer]:
    """Every layer of a process that runs or draws code, in the order in which they are to be entered."""
    landlock.readable()
    files = Layer(
        f"landlock{landlock.abi() or ''}", lambda _: landlock.enter(), attacks.files_and_signals, role="landlock"
    )
    # Landlock before nobody: its rules name folders that only root may be able to open. Limits before Landlock: they
    # are set from what /proc says is mapped already.
    return (NO_NEW_PRIVILEGES, RLIMITS, files, UNPRIVILEGED, READING_NOBODY, *_CALLS)


def missing(granted: Sequence[Layer]) -> list[str]:
    """The purposes of all layers that no granted one serves, in order."""
    served = {layer.purpose for layer in granted}
    return [purpose for purpose in dict.fromkeys(layer.purpose for layer in all_layers()) if purpose not in served]


def account(task: str, entered: Sequence[str], granted: Sequence[Layer]) -> tuple[str, list[str]]:
    """What stands in every result of a worker, such as "process+rlimits+seccomp", and what its user should be told."""
    lacking = [*([] if NAMESPACES in entered else [NAMESPACES]), *missing(granted)]
    notes = [f"{task}: drawn without {name}: {_WITHOUT[name]}" for name in lacking]
    return "+".join([*entered, *(layer.name for layer in granted)]), notes


def enter(granted: Sequence[Layer], limits: Limits) -> None:
    """Enters every layer in order. Raises OSError if one is refused."""
    for layer in granted:
        layer.enter(limits)


def _holds(granted: Sequence[Layer], layer: Layer, still_works: Callable[[], object]) -> bool:
    for _ in range(PROBES):
        status = _probe(granted, layer, still_works)
        # Killed from outside it has shown nothing; a layer must not be missed for that.
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return status == 0
    return False


def _probe(granted: Sequence[Layer], layer: Layer, still_works: Callable[[], object]) -> int:
    """The wait status of a child that enters the layers and attacks the last one: 0 where it holds."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(PROBE_S)
            enter([*granted, layer], Limits())
            layer.attack()
            still_works()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def available(wanted: Sequence[Layer], still_works: Callable[[], object]) -> Sequence[Layer]:
    """Those of `wanted` that hold on this machine, each attacked in a child of its own on top of the ones before.

    A layer inside which `still_works` raises, such as a user who cannot read the installed packages, does not count.
    """
    granted: list[Layer] = []
    for layer in wanted:
        served = {one.purpose for one in granted}
        if layer.purpose in served or (layer.needs and layer.needs not in served):
            continue
        if _holds(granted, layer, still_works):
            granted.append(layer)
    return tuple(granted)


def leave_network() -> str | None:
    """Enters namespaces of its own, once for this process and all its children: their name, or None.

    To be called while this process has one thread.
    """
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        except OSError:  # a machine without even a loopback interface
            return None
        attack = attacks.network(listener.getsockname()[1])
        layer = Layer(NAMESPACES, lambda _: namespaces.enter(), attack)
        if not _holds((), layer, lambda: None):
            return None
    namespaces.enter()
    return layer.name
