"""The one exception that drawing code raises inside a worker."""

from __future__ import annotations

from jaxerm.render.types import ErrorKind


class DrawError(Exception):
    """The code could not be drawn; `kind` and the text go into the RenderError."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class UnsafeRenderingError(RuntimeError):
    """This machine cannot hold a program that a model wrote, and nobody has said to run it all the same."""


class EngineMissingError(Exception):
    """An engine cannot be used on this machine; the text says why and what to install."""


def describe(error: BaseException) -> str:
    """The last line of the traceback of `error`, on one line, of at most 500 characters; never raises."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # the error may be of a class that the code of a chart has made
        text = ""
    name = type.__dict__["__name__"].__get__(type(error))
    return (f"{name}: {text}" if text else name)[:500]
