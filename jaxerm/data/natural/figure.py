"""What matplotlib drew: a chart's code runs in the renderer's sandbox, and a description of its figure comes back."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jaxerm.data.natural.probe_code import WIDTH
from jaxerm.render import RenderPool

_PROBE = (files("jaxerm.data.natural") / "probe_code.py").read_text(encoding="utf-8")


class FigureError(ValueError):
    """The code draws no figure, or the figure cannot be told of."""


def read_figure(code: str, pool: RenderPool) -> list[dict[str, Any]]:
    """The axes of the figure a program draws, in the order they were made; see `probe_code` for their fields.

    Raises:
      FigureError: the code does not run, or its figure is too large to be told of.
    """
    result = pool.render("chart", f"{_PROBE}\n_run({code!r})\n")
    if not result.ok:
        raise FigureError(str(result.error))
    data = result.image[::-1, :WIDTH].tobytes()
    size = int.from_bytes(data[:4], "big")
    try:
        return json.loads(data[4 : 4 + size])["axes"]
    except (ValueError, LookupError, TypeError):
        raise FigureError("the figure's description came back damaged") from None
