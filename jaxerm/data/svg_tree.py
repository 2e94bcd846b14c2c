"""SVG as a tree: read, reduced to what is drawn, written one element a line."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from xml.sax.saxutils import escape

from jaxerm.data.svg_path import number, read_path, write_path

Element = ElementTree.Element
SVG = "http://www.w3.org/2000/svg"
_DROPPED = {"title", "desc", "metadata", "script"}
FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def read_svg(code: str) -> Element:
    """The root, tags without their namespace, elements and attributes of other namespaces left out.

    Raises:
      ValueError: not well-formed, or not an SVG.
    """
    try:
        root = ElementTree.fromstring(code)
    except ElementTree.ParseError as error:
        raise ValueError(f"not well-formed XML: {error}") from None
    for element in list(root.iter()):
        for child in list(element):
            space, _, tag = child.tag.rpartition("}") if isinstance(child.tag, str) else ("x", "", "")
            if space.lstrip("{") not in ("", SVG) or tag in _DROPPED:
                element.remove(child)
        element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if name.startswith("{")]:
            value = element.attrib.pop(name)
            if name.endswith("}href"):
                element.set("href", value)
    if root.tag != "svg":
        raise ValueError(f"the root element is <{root.tag}>, not <svg>")
    return root


def _open(element: Element) -> str:
    attributes = "".join(f' {name}="{escape(value, {chr(34): "&quot;"})}"' for name, value in element.items())
    return f"<{element.tag}{attributes}"


def _inline(element: Element) -> str:
    inside = escape(element.text or "") + "".join(_inline(child) + escape(child.tail or "") for child in element)
    return f"{_open(element)}>{inside}</{element.tag}>" if inside else f"{_open(element)}/>"


def _lines(element: Element) -> Iterator[str]:
    if not len(element) or element.tag == "text" or (element.text or "").strip():
        yield _inline(element)
        return
    yield _open(element) + ">"
    for child in element:
        yield from _lines(child)
    yield f"</{element.tag}>"


def write_svg(root: Element) -> str:
    """The code of a tree, one element a line."""
    head = ElementTree.Element("svg", {"xmlns": SVG, **root.attrib})
    head.extend(list(root))
    if not len(head):
        return _open(head) + ">\n</svg>"
    return "\n".join(_lines(head))


def view_box(root: Element) -> tuple[float, float, float, float]:
    """(left, top, width, height) of the canvas in user units.

    Raises:
      ValueError: neither a viewBox nor a width and height in numbers.
    """
    values = [float(value) for value in FLOAT.findall(root.get("viewBox", ""))]
    if len(values) != 4:
        sides = [re.fullmatch(r"\s*([\d.]+)(px)?\s*", root.get(name, "")) for name in ("width", "height")]
        if not all(sides):
            raise ValueError("the SVG has neither a viewBox nor a width and height in pixels")
        values = [0.0, 0.0, *(float(side.group(1)) for side in sides)]
    if min(values[2:]) <= 0:
        raise ValueError(f"the canvas is {values[2]:g} x {values[3]:g}")
    return tuple(values)


def compact_svg(code: str) -> str:
    """The same picture in as few characters as are easy to have, one element a line.

    No size in pixels, class, title or comment; ``currentColor`` is black; path data is rounded to 1/2400 of the canvas.

    Raises:
      ValueError: see `read_svg` and `view_box`.
    """
    root = read_svg(code)
    box = view_box(root)
    places = max(0, math.ceil(math.log10(2400 / max(box[2:]))))
    for name in ("width", "height", "viewBox", "version"):
        root.attrib.pop(name, None)
    rest = dict(root.attrib)
    root.attrib.clear()
    root.attrib.update({"viewBox": " ".join(number(value, places) for value in box), **rest})
    for element in root.iter():
        element.attrib.pop("class", None)
        for name, value in element.items():
            if "currentColor" in value:
                element.set(name, value.replace("currentColor", "black"))
        if "d" in element.attrib:
            element.set("d", write_path(read_path(element.get("d")), places))
    return write_svg(root)
