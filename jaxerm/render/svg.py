"""SVG -> pixels, by CairoSVG's convention: a white square, aspect kept; other engines where libcairo is missing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jaxerm.render import fonts, svg_guard
from jaxerm.render.errors import DrawError, EngineMissingError, describe
from jaxerm.render.types import RenderOptions

_PROBE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><rect width="20" height="20"/>
<text x="22" y="16" font-size="16">W</text></svg>"""


@dataclass
class SvgEngine:
    """Draws SVG with one library. `paint` takes checked SVG and a side in pixels and returns uint8[side, side, 3]."""

    name: str
    paint: Callable[[bytes, int], np.ndarray]
    options: RenderOptions
    notes: list[str] = field(default_factory=list)
    probe: str = _PROBE
    contained: bool = True

    def draw(self, code: str) -> np.ndarray:
        """See `worker.Engine.draw`."""
        options = self.options
        checked = svg_guard.check(code, options.max_elements, options.max_depth)
        try:
            return self.paint(checked, options.svg_size)
        except (DrawError, MemoryError):
            raise
        except Exception as error:
            raise DrawError("exception", describe(error)) from error


def _bgra_to_rgb(data, height: int, width: int, stride: int) -> np.ndarray:
    """Cairo's native 32-bit pixels on an opaque canvas -> uint8[height, width, 3]."""
    rows = np.frombuffer(data, np.uint8).reshape(height, stride)[:, : width * 4].reshape(height, width, 4)
    return np.ascontiguousarray(rows[:, :, 2::-1])


def _over_white(png: bytes, size: int) -> np.ndarray:
    """A PNG, centred on a white square."""
    from PIL import Image

    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    canvas = Image.new("RGB", (size, size), "white")
    canvas.paste(drawn, ((size - drawn.width) // 2, (size - drawn.height) // 2), drawn)
    return np.asarray(canvas)


def _load_cairosvg() -> Callable[[bytes, int], np.ndarray]:
    from cairosvg.parser import Tree
    from cairosvg.surface import PNGSurface

    def paint(svg: bytes, size: int) -> np.ndarray:
        tree = Tree(bytestring=svg)  # its own default fetches data: URLs and nothing else
        surface = PNGSurface(tree, None, 96, output_width=size, output_height=size, background_color="white")
        surface.cairo.flush()
        return _bgra_to_rgb(surface.cairo.get_data(), size, size, surface.cairo.get_stride())

    return paint


def _load_resvg() -> Callable[[bytes, int], np.ndarray]:
    import resvg_py

    where = str(fonts.directory())
    names = dict.fromkeys(("font_family", "sans_serif_family", "cursive_family", "fantasy_family"), "DejaVu Sans")
    names |= {"serif_family": "DejaVu Serif", "monospace_family": "DejaVu Sans Mono"}

    def paint(svg: bytes, size: int) -> np.ndarray:
        png = resvg_py.svg_to_bytes(
            svg_string=svg.decode(), width=size, height=size, skip_system_fonts=True, font_dirs=[where], **names
        )
        return _over_white(bytes(png), size)

    return paint


def _load_plutoprint() -> Callable[[bytes, int], np.ndarray]:
    from jaxerm.render import pluto

    def paint(svg: bytes, size: int) -> np.ndarray:
        return pluto.paint_svg(svg_guard.fit(svg, size), size)

    return paint


_LOADERS = {"cairosvg": _load_cairosvg, "resvg": _load_resvg, "plutoprint": _load_plutoprint}


def load_engine(options: RenderOptions) -> SvgEngine:
    """The engine the options name, or the first that draws a test picture; says so when it is not the first.

    Raises:
      EngineMissingError: no engine works, with the reason of each.
    """
    names = tuple(_LOADERS) if options.svg_engine == "auto" else (options.svg_engine,)
    reasons = []
    for name in names:
        try:
            engine = SvgEngine(name, _LOADERS[name](), options)
            image = engine.draw(_PROBE)
        except (ImportError, OSError, DrawError) as error:
            reasons.append(f"{name}: {describe(error)}")
            continue
        side = options.svg_size
        if image[side // 2, side // 4].max() > 40 or image[0, side // 4].min() < 215:
            reasons.append(f"{name}: draws a test picture wrongly")
            continue
        if side >= 32 and image[:, side * 11 // 20 :].min() > 200:
            reasons.append(f"{name}: draws no letters, since it finds no font")
            continue
        if reasons:
            engine.notes.append(f"SVG is drawn by {name}, since the usual engine does not work ({reasons[0]})")
        return engine
    raise EngineMissingError("no SVG engine works: " + "; ".join(reasons))
