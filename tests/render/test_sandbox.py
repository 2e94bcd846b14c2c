"""The layers themselves: what this machine grants, what happens where one is missing, the filter on both processors."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys

import pytest

from jaxerm.render import RenderOptions
from jaxerm.render.sandbox import REQUIRED, Layer, available, seccomp

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="these layers are Linux's")
ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM, ENOSYS = 0x50000 | 1, 0x50000 | 38


def answer(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would make of a call: the filter run by hand."""
    call = struct.pack("=iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("=HBBI", code))
    at, value = 0, 0
    while True:
        operation, yes, no, k = program[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", call, k)
        elif operation == 0x06:
            return k
        else:
            taken = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[operation]
            at += yes if taken else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("may_write", [True, False])
def test_the_filter_lets_through_what_drawing_needs_and_nothing_else(machine, may_write):
    code = seccomp.program(machine, may_write)
    column = list(ARCHITECTURES).index(machine)

    def ask(numbers, *arguments):
        return answer(code, ARCHITECTURES[machine], numbers[column], *arguments)

    for numbers in [(0, 63), (1, 64), (9, 222), (262, 79), (231, 94), (15, 139)]:  # read write mmap newfstatat ...
        assert ask(numbers) == ALLOW
    # clone execve kill ptrace socket connect unlinkat mkdirat setuid memfd_create io_uring_setup mount process_vm_readv
    for numbers in [(56, 220), (59, 221), (62, 129), (101, 117), (41, 198), (42, 203), (263, 35), (258, 34), (105, 146),
                    (319, 279), (425, 425), (165, 40), (310, 270), (157, 167), (434, 434), (9999, 9999)]:  # fmt: skip
        assert ask(numbers) == EPERM
    assert ask((435, 435)) == ENOSYS
    openat = (257, 56)
    assert ask(openat, 0, 0, os.O_RDONLY) == ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREAT, os.O_RDONLY | os.O_TRUNC):
        assert ask(openat, 0, 0, flags) == (ALLOW if may_write else EPERM)
    ioctl, fcntl, prlimit = (16, 29), (72, 25), (302, 261)
    assert (ask(ioctl, 0, 0x5401), ask(ioctl, 0, 0x5412)) == (ALLOW, EPERM)  # TCGETS, TIOCSTI
    assert (ask(fcntl, 0, 3), ask(fcntl, 0, 8)) == (ALLOW, EPERM)  # F_GETFL, F_SETOWN
    assert ask(prlimit, 0, 0, 0) == ALLOW
    assert ask(prlimit, 0, 0, 0x1000) == ask(prlimit, 0, 0, 1 << 40) == EPERM
    assert answer(code, ARCHITECTURES["aarch64" if machine == "x86_64" else "x86_64"], 0) == KILL
    assert answer(code, 0x40000003, 11) == KILL  # execve of 32-bit x86
    assert answer(code, ARCHITECTURES[machine], 0x40000000 | 59) == KILL


# A machine that lacks layers: a filter of our own refuses the calls that would enter them, as gVisor and containers do.
POORER = """
import ctypes, struct, sys
from jaxerm.render.sandbox import kernel, seccomp
refused = {kernel.MACHINE and {"x86_64": 272, "aarch64": 97}[kernel.MACHINE]: 1}  # unshare: EPERM
if "landlock" in sys.argv: refused |= {444: 38}
code = [(0x20, 0, 0, 0)]
for number, error in refused.items():
    code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | error)]
if "seccomp" in sys.argv:
    prctl = {"x86_64": 157, "aarch64": 167}[kernel.MACHINE]
    code += [(0x15, 0, 3, prctl), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x50000 | 22)]
code += [(0x06, 0, 0, 0x7fff0000)]
raw = b"".join(struct.pack("=HBBI", *one) for one in code)
buffer = ctypes.create_string_buffer(raw, len(raw))
header = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(buffer)))
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(header))

import warnings
from jaxerm.render import RenderOptions, RenderPool, UnsafeRenderingError
warnings.simplefilter("error" if "strict" in sys.argv else "ignore")
CHART = "import matplotlib.pyplot as plt\\nplt.plot([1, 2])"
with RenderPool(1, options=RenderOptions(allow_unsafe_rendering="allow" in sys.argv)) as pool:
    try:
        print(pool.render("chart", CHART).isolation)
        print(pool.render("chart", "open('/tmp/jaxerm-escape', 'w')").error)
    except UnsafeRenderingError as error:
        print("refused:", error)
    if "allow" not in sys.argv:
        print(pool.render("svg", "<svg viewBox='0 0 8 8'><rect width='4' height='8'/></svg>").isolation)
    print(*pool.notes, sep=";")
"""


def poorer(*missing: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", POORER, *missing]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@linux_only
def test_without_namespaces_and_landlock_charts_still_cannot_write_and_the_user_is_told():
    isolation, error, svg, notes = poorer("landlock")
    assert set(isolation.split("+")) >= REQUIRED and "landlock" not in isolation and "namespaces" not in isolation
    assert error.startswith("exception: line 1: PermissionError")
    assert "landlock" not in svg and "seccomp" in svg
    assert "chart: drawn without namespaces: only seccomp closes the network" in notes
    assert "chart: drawn without landlock: code may read every file" in notes and "Linux 5.13" in notes


@linux_only
def test_without_seccomp_charts_are_refused_and_the_way_out_is_named():
    refused, svg, notes = poorer("seccomp")
    assert refused.startswith("refused: this machine lacks") and "seccomp" in refused
    assert "allow_unsafe_rendering: true" in refused
    assert "rlimits" in svg and "seccomp" not in svg
    assert "svg: drawn without namespaces" in notes and "svg: drawn without seccomp" in notes


@linux_only
def test_without_seccomp_charts_run_if_the_user_says_so():
    isolation, _, notes = poorer("seccomp", "allow")
    assert "rlimits" in isolation and "seccomp" not in isolation
    assert "chart: drawn without seccomp: code may start programs" in notes


@pytest.mark.parametrize(("by", "holds"), [(signal.SIGKILL, True), (signal.SIGSYS, False)])
def test_a_probe_that_is_killed_from_outside_is_tried_again(tmp_path, by, holds):
    def attack():
        if not (tmp_path / "tried").exists():
            (tmp_path / "tried").touch()
            os.kill(os.getpid(), by)

    layer = Layer("layer", lambda limits: None, attack)
    assert available([layer], lambda: None) == ((layer,) if holds else ())


def test_unsafe_rendering_is_off_by_default():
    assert not RenderOptions().allow_unsafe_rendering
