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
    """The last line of the traceback of `error`, on one line, of at most 500 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__
