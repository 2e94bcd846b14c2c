"""The forked child that runs one chart's code: the figure is captured and leaves through the pipe as pixels."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from jaxerm.render import sandbox, wire
from jaxerm.render.types import RenderOptions

_PLOTLY = "plotly draws in a browser, which code may not start; charts are drawn by matplotlib and what stands on it"


class _Sink:
    """A file that matplotlib writes raw pixels to; keeps the RGBA buffer, uint8[H, W, 4]."""

    def __init__(self) -> None:
        self.rgba: Any = None

    def write(self, data: Any) -> None:
        """Takes the renderer's buffer; a memoryview that knows its shape."""
        import numpy as np

        self.rgba = np.asarray(data)

    def seek(self, *_: Any) -> None:
        """What matplotlib knows a file by."""


class Capture:
    """Turns the first figure that is saved, shown or left over into the answer."""

    def __init__(self, send: int, options: RenderOptions) -> None:
        self._send, self._options = send, options
        self._closed: Any = None

    def install(self) -> None:
        """Replaces what writes files or opens windows. Nothing here is security: that is what the layers are for."""
        import matplotlib
        import matplotlib.pyplot as plt
        from matplotlib.backend_bases import FigureCanvasBase
        from matplotlib.figure import Figure

        self._print_figure = FigureCanvasBase.print_figure
        capture = self
        close = plt.close

        def print_figure(canvas, filename, dpi=None, facecolor=None, edgecolor=None, orientation="portrait", *,
                         format=None, bbox_inches=None, pad_inches=None, bbox_extra_artists=None, backend=None,
                         **kwargs):  # fmt: skip
            capture.finish(
                canvas.figure, facecolor=facecolor, edgecolor=edgecolor, bbox_inches=bbox_inches,
                pad_inches=pad_inches, bbox_extra_artists=bbox_extra_artists,
            )  # fmt: skip

        def show(*args, **kwargs):
            if plt.get_fignums():
                capture.finish(plt.gcf())

        def close_figure(fig=None):
            if plt.get_fignums():
                self._closed = plt.gcf()
            close(fig)

        FigureCanvasBase.print_figure = print_figure
        Figure.show = lambda figure, *args, **kwargs: capture.finish(figure)
        plt.show = show
        plt.close = close_figure
        # A backend with windows is asked for on a desk; the picture is the same without.
        matplotlib.use = plt.switch_backend = lambda *args, **kwargs: None
        # "Make the folder, save into it": nothing is saved here, so no folder is needed either.
        os.mkdir = lambda path, mode=0o777, *, dir_fd=None: None

    def left_over(self) -> None:
        """The code is at its end: answers with the current figure, or the last one it closed."""
        import matplotlib.pyplot as plt

        if plt.get_fignums():
            self.finish(plt.gcf())
        if self._closed is not None:
            self.finish(self._closed)
        self.fail("exception", "the code draws no figure")

    def finish(self, figure: Any, **how: Any) -> NoReturn:
        """Draws `figure`, answers, and ends the process: code after the first savefig or show does not count."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        if not isinstance(figure.canvas, FigureCanvasAgg):
            FigureCanvasAgg(figure)
        dpi = self._options.chart_dpi or getattr(figure, "_original_dpi", figure.dpi)
        width, height = figure.get_size_inches()
        # Tight boxes can be larger than the figure; half the limit leaves them room.
        most = (self._options.max_pixels / 2 / max(width * height, 1e-6)) ** 0.5
        sink = _Sink()
        self._print_figure(figure.canvas, sink, dpi=min(dpi, most), format="raw", **how)
        if sink.rgba is None or sink.rgba.ndim != 3:
            self.fail("exception", "the figure was not drawn")
        self._answer(sink.rgba)

    def _answer(self, rgba: Any) -> NoReturn:
        import numpy as np

        height, width = rgba.shape[:2]
        if height * width > self._options.max_pixels:
            limit = self._options.max_pixels
            self.fail("too_large", f"the figure has {height} x {width} pixels; the limit is {limit} in all")
        alpha = rgba[..., 3:]
        rgb = rgba[..., :3]
        if (alpha != 255).any():  # a transparent figure stands on white
            share = alpha.astype(np.uint16)
            rgb = ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
        pixels = memoryview(np.ascontiguousarray(rgb)).cast("B")
        wire.write_reply(self._send, wire.Reply(0, wire.IMAGE, {}, height, width, 0.0, pixels))
        os._exit(0)

    def fail(self, kind: str, text: str) -> NoReturn:
        """Answers with an error and ends the process."""
        if "plotly" in sys.modules and kind == "exception":
            text = f"{text} ({_PLOTLY})"
        wire.write_reply(self._send, wire.Reply(0, wire.ERROR, {"kind": kind, "text": text}))
        os._exit(0)


def _where(error: BaseException) -> str:
    """The line of the chart's code that an exception came through last: "line 3: "."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<chart>"]
    return f"line {lines[-1]}: " if lines else ""


def _seed() -> None:
    """Code that does not seed its random numbers draws the same picture every time all the same."""
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)
    default_rng = np.random.default_rng
    np.random.default_rng = lambda seed=None: default_rng(0 if seed is None else seed)


def run(
    parent: int, stdin: int, send: int, size: int, timeout_s: float, options: RenderOptions, layers: Any, ack: bytes
) -> NoReturn:
    """Reads the code, enters the layers, says so with `ack`, runs it, answers on `send`. Never returns, never raises.

    What fails before `ack` is this machine's fault; the code is compiled after it, since that can take much, too.
    """
    try:
        from jaxerm.render.errors import describe

        sandbox.die_with_parent(parent)
        signal.setitimer(signal.ITIMER_REAL, timeout_s + 0.5)  # if nobody is left to kill it
        code = bytes(wire.read_exact(stdin, size)).decode("utf-8", "replace")
        os.dup2(send, 3)
        os.closerange(4, 4096)
        capture = Capture(3, options)
        capture.install()
        _seed()
        sandbox.enter(layers, sandbox.Limits(options.memory_mb, timeout_s))
        os.write(3, ack)
        try:
            program = compile(code, "<chart>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = f"line {error.lineno}: " if getattr(error, "lineno", None) else ""
            message = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
            capture.fail("syntax", line + message)
        except (MemoryError, RecursionError):
            capture.fail("syntax", "the code is nested too deeply to be compiled")
        sys.argv = ["chart.py"]
        scope = {"__name__": "__main__", "__builtins__": __builtins__, "__file__": "chart.py"}
        try:
            exec(program, scope)
            capture.left_over()
        except SystemExit:
            capture.left_over()
        except MemoryError:
            capture.fail("memory", "MemoryError: more memory was needed than is allowed")
        except BaseException as error:
            capture.fail("exception", _where(error) + describe(error))
    finally:
        os._exit(70)
