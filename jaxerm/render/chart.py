"""The chart worker: imports matplotlib once, then forks a child for each chart; only the child runs the code.

This process does not even see the code: the child reads it from the pipe itself. What the child answers passes through
memory that no other child has. So what one program leaves behind is never there for the next one to read.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import resource
import signal
import sys
import time
from pathlib import Path

from jaxerm.render import chart_child, fonts, sandbox, wire
from jaxerm.render.errors import EngineMissingError, describe
from jaxerm.render.types import RenderOptions

_ACK = b"\x06"
"""What a child sends first: it has read all of its code and is behind every layer; what follows is the code's doing."""
_GARBAGE = (20_000, 5, 2)
"""Thresholds of the garbage collector in children: Python's own cost a fifth of their time."""
_NOT_INHERITED = getattr(mmap, "MADV_DONTFORK", None)


class Tray:
    """Memory for one answer that children do not have: else a chart could copy the picture that was drawn before it.

    `view` is that memory: room for the meta data and the pixels of the largest answer.
    """

    def __init__(self, max_pixels: int) -> None:
        self._memory = mmap.mmap(-1, wire.MAX_META + 3 * max_pixels, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if _NOT_INHERITED is not None:
            self._memory.madvise(_NOT_INHERITED)
        self.view = memoryview(self._memory)

    def clear(self) -> None:
        """Gives the memory back; it is zero when it is used again."""
        self._memory.madvise(mmap.MADV_DONTNEED)


def _import_matplotlib() -> None:
    """Imports matplotlib with its own fonts and settings only, and with no folder to write to."""
    # Else it makes a folder for settings as soon as it is imported: in the home or, left behind by a kill, a temporary.
    os.environ["MATPLOTLIBRC"] = str(fonts.directory().parents[1] / "matplotlibrc")
    import matplotlib

    nowhere = "/nonexistent/matplotlib"
    matplotlib.get_cachedir = matplotlib.get_configdir = lambda: nowhere
    data = matplotlib.get_data_path()
    walk = os.walk
    os.walk = lambda top, *args, **kwargs: walk(top, *args, **kwargs) if str(top).startswith(data) else iter(())
    try:
        import logging

        logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
        import matplotlib.font_manager
    finally:
        os.walk = walk
    matplotlib.use("Agg")


def _warm_up() -> None:
    """Draws once all that most charts use, so that no child has to import or load it again.

    Raises:
      EngineMissingError: letters leave no mark.
    """
    import matplotlib.animation  # noqa: F401
    import matplotlib.patheffects  # noqa: F401
    import matplotlib.pyplot as plt
    import mpl_toolkits.axes_grid1.anchored_artists  # noqa: F401
    import mpl_toolkits.axisartist  # noqa: F401
    import mpl_toolkits.mplot3d  # noqa: F401
    import numpy as np

    figure, axes = plt.subplots()
    axes.plot([1, 2], [1, 2], label="a")
    axes.bar([1, 2], [1, 2])
    axes.set_title(r"A $x^2$")
    axes.legend()
    figure.canvas.draw()
    plt.close("all")
    letters = plt.figure(figsize=(1, 1))
    letters.text(0, 0, "W8", size=40)
    letters.canvas.draw()
    if np.asarray(letters.canvas.buffer_rgba())[..., 0].min() > 100:
        raise EngineMissingError("matplotlib draws no letters: its own fonts are missing from its installation")
    plt.close("all")
    for name in ("pandas", "seaborn"):
        try:
            __import__(name)
        except Exception:  # noqa: S112 - an optional package that is absent or broken is the code's own affair
            continue


def _read_answer(fd: int, deadline: float, max_pixels: int, tray: Tray) -> wire.Reply:
    """Reads what a child answers. Only its header is looked at: words and pixels go through the tray to the pool."""
    reply, words = wire.read_header(fd, max_pixels, deadline)
    size = words + 3 * reply.height * reply.width
    wire.read_into(fd, tray.view[:size], deadline)
    reply.meta, reply.pixels = tray.view[:words], tray.view[words:size]
    return reply


def _await_end(pid: int) -> bool:
    """Gives a child that has closed its pipe half a second to leave a status that says what became of it."""
    for _ in range(500):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.001)
    return False


def _end_family(pid: int) -> tuple[int, int]:
    """Kills the child and every descendant of it, reaps them all: the wait status of the child, its peak in KiB."""
    os.kill(pid, signal.SIGKILL)  # a child that has ended is still there to be signalled until it is waited for
    _, status, usage = os.wait4(pid, 0)
    while True:  # orphans of the child are ours now: see sandbox.adopt_orphans
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, usage.ru_maxrss
        if found == 0:
            children = Path(f"/proc/self/task/{os.getpid()}/children")
            for orphan in children.read_text().split() if children.exists() else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(orphan), signal.SIGKILL)
            time.sleep(0.001)


def _how_it_ended(status: int, peak_kb: int, timeout_s: float, memory_mb: int) -> dict[str, str]:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return {"kind": "crashed", "text": f"the code ended its process with exit status {code}"}
    name = signal.Signals(-code).name
    if name in ("SIGXCPU", "SIGALRM"):
        return {"kind": "timeout", "text": f"not drawn within {timeout_s:g} s"}
    if name == "SIGKILL":
        grown_mb = (peak_kb - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024
        if grown_mb > memory_mb // 2:  # the machine ran short of memory, and here is why
            return {"kind": "memory", "text": f"the process of the code was killed when it used {grown_mb} MiB"}
        return {"kind": "killed", "text": "the process of the code was killed"}
    return {"kind": "crashed", "text": f"the code crashed its process with {name}"}


def _draw(request: int, timeout_ms: int, size: int, stdin: int, options: RenderOptions, layers, tray) -> wire.Reply:
    """Forks a child for one chart and waits for it."""
    started = time.monotonic()
    timeout_s = timeout_ms / 1000
    deadline = started + timeout_s
    reply, began, late, ended = None, False, False, True
    receive, send = os.pipe()
    wire.widen(send)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        chart_child.run(parent, stdin, send, size, timeout_s, options, layers, _ACK)
    os.close(send)
    try:
        began = bytes(wire.read_exact(receive, 1, deadline)) == _ACK
        reply = _read_answer(receive, deadline, options.max_pixels, tray)
    except wire.DeadlineError:
        late = True
    except wire.WireError:
        pass
    finally:
        os.close(receive)
    if reply is None and not late:
        ended = _await_end(pid)
    status, peak_kb = _end_family(pid)
    seconds = time.monotonic() - started
    if not began:
        raise wire.WireError("a child ended before it had begun its code")
    if reply is not None and reply.status == wire.IMAGE:
        return wire.Reply(request, wire.IMAGE, {}, reply.height, reply.width, seconds, reply.pixels)
    if reply is not None and reply.status == wire.ERROR:
        return wire.Reply(request, wire.WORDS, reply.meta, seconds=seconds)
    if late:
        meta = {"kind": "timeout", "text": f"not drawn within {timeout_s:g} s"}
    elif reply is not None or not ended:  # killed by us, which must not pass for a fault of this machine
        meta = {"kind": "crashed", "text": "the code wrote into the pipe for its picture, or closed it"}
    else:
        meta = _how_it_ended(status, peak_kb, timeout_s, options.memory_mb)
    return wire.Reply(request, wire.ERROR, meta, seconds=seconds)


def _unsafe(missing: list[str]) -> str:
    return (
        f"this machine lacks the isolation that charts need ({', '.join(sorted(missing))}), and their code is a "
        "model's. Use Linux on x86-64 or ARM; or accept that such code can do whatever this user can, with "
        "RenderOptions(allow_unsafe_rendering=True), in a recipe render: {allow_unsafe_rendering: true}"
    )


def serve(stdin: int, stdout: int, options: RenderOptions, entered: list[str]) -> None:
    """Prepares, greets, and forks for request after request until the pool closes the pipe.

    `entered` names what this process has given up already; its children have, too.
    """
    try:
        _import_matplotlib()
        _warm_up()
    except ImportError as error:
        raise EngineMissingError(f"matplotlib: {describe(error)}") from None
    layers = sandbox.available(sandbox.all_layers(), fonts.read)
    lacking = sandbox.REQUIRED.intersection(sandbox.missing(layers))
    if lacking and not options.allow_unsafe_rendering:
        wire.write_reply(stdout, wire.Reply(0, wire.HELLO, {"unsafe": _unsafe(sorted(lacking))}))
        return
    isolation, notes = sandbox.account("chart", [*entered, "fork"], layers)
    sandbox.adopt_orphans()
    tray = Tray(options.max_pixels)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115 - the null device, see worker.main
    hello = {"isolation": isolation, "engine": "matplotlib", "notes": notes}
    wire.write_reply(stdout, wire.Reply(0, wire.HELLO, hello))
    while True:
        try:
            magic, request, timeout_ms, size = wire.REQUEST.unpack(wire.read_exact(stdin, wire.REQUEST.size))
        except wire.WireError:
            return
        if magic != wire.REQUEST_MAGIC or size > options.max_code_bytes:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout_ms / 1000 + 1.5)
        reply = _draw(request, timeout_ms, size, stdin, options, layers, tray)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wire.write_reply(stdout, reply)
        tray.clear()
