"""A worker process: `python -m jaxerm.render.worker TASK PARENT`. Reads requests on stdin, answers on stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, Protocol

from jaxerm.render import fonts, sandbox, wire
from jaxerm.render.errors import DrawError, EngineMissingError, describe
from jaxerm.render.types import RenderOptions


class Engine(Protocol):
    """What draws one task inside a worker.

    Attributes:
      name: of the library.
      notes: what the user should be told once.
      probe: code that it has drawn already, to see whether it still can.
      contained: whether it can live inside the layers; what starts programs and writes files cannot.
    """

    name: str
    notes: list[str]
    probe: str
    contained: bool

    def draw(self, code: str) -> Any:
        """Returns uint8[H, W, 3], C-contiguous, or raises DrawError."""


def _load(task: str, options: RenderOptions) -> Engine:
    if task == "svg":
        from jaxerm.render import svg

        return svg.load_engine(options)
    from jaxerm.render import page

    return page.load_engine("table" if task == "table" else "html", options)


def _answer(engine: Engine, request: int, code: bytes, max_pixels: int) -> wire.Reply:
    started = time.perf_counter()
    try:
        image = engine.draw(code.decode("utf-8", "replace").replace("\0", ""))
        height, width = image.shape[:2]
        if height * width > max_pixels:
            raise DrawError("too_large", f"the image has {height} x {width} pixels; the limit is {max_pixels} in all")
    except DrawError as error:
        meta = {"kind": error.kind, "text": str(error)}
    except MemoryError:
        meta = {"kind": "memory", "text": "more memory was needed than is allowed"}
    except RecursionError:
        meta = {"kind": "exception", "text": "RecursionError: too deeply nested"}
    except Exception as error:
        meta = {"kind": "exception", "text": describe(error)}
    else:
        seconds = time.perf_counter() - started
        return wire.Reply(request, wire.IMAGE, {}, height, width, seconds, memoryview(image).cast("B"))
    return wire.Reply(request, wire.ERROR, meta, seconds=time.perf_counter() - started)


def _serve(engine: Engine, stdin: int, stdout: int, options: RenderOptions) -> None:
    """Draws request after request until the pool closes the pipe.

    The alarm kills this process even where the pool can no longer do so, and even inside a C loop: its action is the
    default one, so no Python code has to run.
    """
    while True:
        try:
            magic, request, timeout_ms, size = wire.REQUEST.unpack(wire.read_exact(stdin, wire.REQUEST.size))
        except wire.WireError:
            return
        if magic != wire.REQUEST_MAGIC or size > options.max_code_bytes:
            return
        code = bytes(wire.read_exact(stdin, size))
        signal.setitimer(signal.ITIMER_REAL, timeout_ms / 1000)
        reply = _answer(engine, request, code, options.max_pixels)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wire.write_reply(stdout, reply)


def main(task: str, parent: int) -> None:
    """Prepares the engine, gives up what it no longer needs, greets, serves."""
    sandbox.die_with_parent(parent)
    # The protocol moves to descriptors of its own, so that whatever prints cannot speak it by accident.
    stdin, stdout = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    _, _, _, size = wire.REQUEST.unpack(wire.read_exact(stdin, wire.REQUEST.size))
    options = RenderOptions(**json.loads(bytes(wire.read_exact(stdin, size))))
    os.environ.pop("PYTHONPATH", None)
    entered = ["process"]
    if network := sandbox.leave_network():
        entered.append(network)
    sandbox.hide_memory()
    try:
        if task == "chart":
            from jaxerm.render import chart

            chart.serve(stdin, stdout, options, entered)
            return
        fonts.pin()
        engine = _load(task, options)
        wanted = sandbox.all_layers() if engine.contained else ()
        layers = sandbox.available(wanted, lambda: (fonts.read(), engine.draw(engine.probe)))
        isolation, notes = sandbox.account(task, entered, layers)
        if not engine.contained:
            own = "has none of its own as root: start as another user" if os.geteuid() == 0 else "keeps its own"
            notes = [f"{task}: {engine.name} starts programs and cannot live in this sandbox; it {own}"]
        sandbox.enter(layers, sandbox.Limits(memory_mb=options.memory_mb))
    except EngineMissingError as error:
        wire.write_reply(stdout, wire.Reply(0, wire.HELLO, {"text": str(error)}))
        return
    hello = {"isolation": isolation, "engine": engine.name, "notes": [*engine.notes, *notes]}
    wire.write_reply(stdout, wire.Reply(0, wire.HELLO, hello))
    _serve(engine, stdin, stdout, options)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
