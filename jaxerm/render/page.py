"""Tables and whole pages -> pixels: a table is cropped to what is drawn plus a margin, a page is as its window is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from jaxerm.render import html_guard, pixels, table_guard
from jaxerm.render.errors import DrawError, EngineMissingError, describe
from jaxerm.render.types import RenderOptions

_LETTERS = "<table><tr><td style='border:0'>W8</td></tr></table>"


class Paint(Protocol):
    """What an engine offers."""

    def __call__(self, html: str, width: int, max_pixels: int, window: int | None = None) -> np.ndarray:
        """Draws a page on white: uint32[H, width], 0xAARRGGBB.

        Args:
          html: the page.
          width: in pixels, of the page and of its window.
          max_pixels: beyond them the page is the error "too_large".
          window: height of the window, and the least of the page; None where the page has no say in either.
        """


@dataclass
class PageEngine:
    """Draws tables or whole pages with one library."""

    name: str
    paint: Paint
    task: Literal["table", "html"]
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
        limits = (options.max_elements, options.max_depth, options.max_table_depth)
        if self.task == "html":
            page = html_guard.to_page(code, *limits)
            return pixels.unpack(self.paint(page, options.page_width, options.max_pixels, options.page_height))
        page = table_guard.to_page(code, *limits)
        drawn = self.paint(page, options.table_width, options.max_pixels)
        return pixels.unpack(pixels.crop(drawn, options.table_margin))


def _load_plutoprint() -> Paint:
    from jaxerm.render import pluto

    return pluto.paint_html


def _load_chromium() -> Paint:
    from jaxerm.render import chromium

    return chromium.Chromium()


_LOADERS = {"plutoprint": _load_plutoprint, "chromium": _load_chromium}


def load_engine(task: Literal["table", "html"], options: RenderOptions) -> PageEngine:
    """The engine the options name, or the first that draws a letter; says so when it is not the first.

    Raises:
      EngineMissingError: no engine works, with the reason of each.
    """
    wanted = options.table_engine if task == "table" else options.html_engine
    names = tuple(_LOADERS) if wanted == "auto" else (wanted,)
    reasons = []
    for name in names:
        try:
            engine = PageEngine(name, _LOADERS[name](), task, options)
            dark = int((engine.draw(_LETTERS) < 128).sum())
        except (ImportError, OSError, DrawError, EngineMissingError) as error:
            reasons.append(f"{name}: {describe(error)}")
            continue
        if not dark:  # an engine that finds no font draws an empty grid and says nothing
            reasons.append(f"{name}: draws no letters, since it finds no font")
            continue
        if reasons:
            engine.notes.append(f"{task}: drawn by {name}, since the usual engine does not work ({reasons[0]})")
        return engine
    raise EngineMissingError(f"no engine for {task} works: " + "; ".join(reasons))
