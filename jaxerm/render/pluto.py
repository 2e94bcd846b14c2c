"""The one place that talks to plutoprint: HTML or SVG -> pixels, without network, files or another machine's fonts."""

from __future__ import annotations

import math

import numpy as np

from jaxerm.render.errors import DrawError, EngineMissingError
from jaxerm.render.pixels import unpack

try:
    import plutoprint
except ImportError as error:
    raise EngineMissingError(f"plutoprint cannot be imported ({error}); it has no wheel for some platforms") from error


class _Refuse(plutoprint.ResourceFetcher):
    def fetch_url(self, url: str) -> plutoprint.ResourceData:
        if url.startswith("data:image/"):
            return plutoprint.default_resource_fetcher.fetch_url(url)
        raise ValueError("nothing outside the document is fetched")


def _book(width: float, height: float) -> plutoprint.Book:
    points = plutoprint.UNITS_PX
    size = plutoprint.PageSize(width * points, height * points)
    book = plutoprint.Book(size, plutoprint.PAGE_MARGINS_NONE, plutoprint.MEDIA_TYPE_SCREEN)
    book.custom_resource_fetcher = _Refuse()
    return book


def _pixels(book: plutoprint.Book, width: int, height: int) -> np.ndarray:
    canvas = plutoprint.ImageCanvas(width, height, plutoprint.IMAGE_FORMAT_ARGB32)
    canvas.clear_surface(1.0, 1.0, 1.0, 1.0)
    book.render_document(canvas)
    canvas.flush()
    return np.frombuffer(canvas.get_data(), np.uint32).reshape(height, canvas.get_stride() // 4)[:, :width]


def paint_html(html: str, width: int, max_pixels: int, window: int | None = None) -> np.ndarray:
    """Draws a page `width` pixels wide and as high as it needs to be; see `page.Paint`.

    Raises:
      DrawError: the page would have more than `max_pixels` pixels.
    """
    least = window or 1
    book = _book(width, least)
    book.load_html(html)
    height = max(least, math.ceil(book.get_document_height()))
    if width * height > max_pixels:
        raise DrawError("too_large", f"the page is {width} x {height} pixels; the limit is {max_pixels} in all")
    return _pixels(book, width, height)


def paint_svg(svg: bytes, size: int) -> np.ndarray:
    """Draws SVG whose width and height are `size`: uint8[size, size, 3] on white."""
    book = _book(size, size)
    style = "body{margin:0;font-family:sans-serif}svg{display:block}"
    book.load_html(f"<!DOCTYPE html><style>{style}</style>{svg.decode()}")
    return unpack(_pixels(book, size, size))
