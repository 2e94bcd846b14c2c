"""What an SVG must not contain before a drawing library sees it: entities, outside references, too much of anything."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from jaxerm.render.errors import DrawError

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

_HREFS = ("href", f"{{{XLINK}}}href", "src")
_SAFE_HREF = re.compile(r"\s*(#|data:image/(png|jpe?g|gif|webp|bmp)[;,])", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(?:px)?\s*$", re.IGNORECASE)


class _Builder(ElementTree.TreeBuilder):
    """Builds the tree and stops at the first thing too many, so that a bomb costs no more than its limit."""

    def __init__(self, max_elements: int, max_depth: int) -> None:
        super().__init__()
        self._left, self._max_elements, self._max_depth, self._depth = max_elements, max_elements, max_depth, 0

    def start(self, tag, attrs):  # noqa: D102
        self._left -= 1
        self._depth += 1
        if self._left < 0:
            raise DrawError("too_large", f"more than {self._max_elements} elements")
        if self._depth > self._max_depth:
            raise DrawError("too_large", f"elements nested more than {self._max_depth} deep")
        for name in _HREFS:
            if name in attrs and not _SAFE_HREF.match(attrs[name]):
                del attrs[name]
        return super().start(tag, attrs)

    def end(self, tag):  # noqa: D102
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name, pubid, system):  # noqa: D102
        raise DrawError("syntax", "a DOCTYPE is not allowed")

    def pi(self, target, text=None):  # noqa: D102
        return None


def check(code: str, max_elements: int, max_depth: int) -> bytes:
    """Returns `code` as well-formed UTF-8 SVG without references to anything outside it.

    A missing xmlns on the root is supplied, as every browser does.

    Raises:
      DrawError: "syntax" for what is not XML, has a DOCTYPE, or whose root is not <svg>; "too_large" for too many
        elements or too deep a nesting.
    """
    code = code.strip().lstrip("\ufeff")
    if "<!ENTITY" in code or "<!DOCTYPE" in code:
        raise DrawError("syntax", "a DOCTYPE is not allowed")
    parser = ElementTree.XMLParser(target=_Builder(max_elements, max_depth), encoding="utf-8")
    try:
        parser.feed(code.encode())
        root = parser.close()
    except ElementTree.ParseError as error:
        raise DrawError("syntax", f"not well-formed XML: {error}") from None
    if root.tag == "svg":
        root.set("xmlns", SVG)
    elif root.tag != f"{{{SVG}}}svg":
        raise DrawError("syntax", f"the root element is <{root.tag.rpartition('}')[2]}>, not <svg>")
    return ElementTree.tostring(root, encoding="utf-8")


def fit(svg: bytes, size: int) -> bytes:
    """Gives checked SVG a side of `size` pixels, and a viewBox if it has none, so that it fills a square."""
    root = ElementTree.fromstring(svg)
    if "viewBox" not in root.attrib:
        sides = [_NUMBER.match(root.get(name, "")) for name in ("width", "height")]
        if all(sides):
            root.set("viewBox", "0 0 " + " ".join(side.group(1) for side in sides))
    root.set("width", str(size))
    root.set("height", str(size))
    return ElementTree.tostring(root, encoding="utf-8")
