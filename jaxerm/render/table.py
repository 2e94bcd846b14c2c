"""Tables -> pixels: laid out on a wide page, cropped to what is drawn plus a margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jaxerm.render import pixels, table_guard
from jaxerm.render.errors import EngineMissingError, describe
from jaxerm.render.types import RenderOptions

_LETTERS = "<table><tr><td style='border:0'>W8</td></tr></table>"


@dataclass
class TableEngine:
    """Draws tables. `paint` takes a page, its width and the most pixels, and returns uint32[H, W], 0xAARRGGBB."""

    name: str
    paint: Callable[[str, int, int], np.ndarray]
    options: RenderOptions
    notes: list[str] = field(default_factory=list)
    probe: str = _LETTERS

    @property
    def contained(self) -> bool:
        """Chromium starts processes and writes files: it brings a sandbox of its own and cannot live in ours."""
        return self.name != "chromium"

    def draw(self, code: str) -> np.ndarray:
        """See `worker.Engine.draw`."""
        options = self.options
        page = table_guard.to_page(code, options.max_elements, options.max_depth, options.max_table_depth)
        drawn = self.paint(page, options.table_width, options.max_pixels)
        return pixels.unpack(pixels.crop(drawn, options.table_margin))


def _load_plutoprint() -> Callable[[str, int, int], np.ndarray]:
    from jaxerm.render import pluto

    return pluto.paint_html


def _load_chromium() -> Callable[[str, int, int], np.ndarray]:
    from jaxerm.render import chromium

    return chromium.load()


_LOADERS = {"plutoprint": _load_plutoprint, "chromium": _load_chromium}


def load_engine(options: RenderOptions) -> TableEngine:
    """The engine the options name, or the first that draws a letter; says so when it is not the first.

    Raises:
      EngineMissingError: no engine works, with the reason of each.
    """
    names = tuple(_LOADERS) if options.table_engine == "auto" else (options.table_engine,)
    reasons = []
    for name in names:
        try:
            engine = TableEngine(name, _LOADERS[name](), options)
            dark = int((engine.draw(_LETTERS) < 128).sum())
        except (ImportError, OSError, EngineMissingError) as error:
            reasons.append(f"{name}: {describe(error)}")
            continue
        if not dark:  # an engine that finds no font draws an empty grid and says nothing
            reasons.append(f"{name}: draws no letters, since it finds no font")
            continue
        if reasons:
            engine.notes.append(f"tables are drawn by {name}, since the usual engine does not work ({reasons[0]})")
        return engine
    raise EngineMissingError("no table engine works: " + "; ".join(reasons))
