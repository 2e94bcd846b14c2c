"""Code -> image, in worker processes that can be killed: the public face of the room. Imports no drawing engine."""

from __future__ import annotations

from jaxerm.render.errors import UnsafeRenderingError
from jaxerm.render.extract import extract_code
from jaxerm.render.pool import RenderPool
from jaxerm.render.types import RenderError, RenderOptions, RenderResult, is_blank

__all__ = [
    "RenderError", "RenderOptions", "RenderPool", "RenderResult", "UnsafeRenderingError", "extract_code", "is_blank",
]  # fmt: skip
