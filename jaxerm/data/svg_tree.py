"""SVG as a tree: read, reduced to what is drawn, written one element a line; and where each element lies."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from jaxerm.data.sources.drawings import LOCATIONS
from jaxerm.data.svg_path import (
    Matrix,
    Point,
    map_points,
    number,
    path_points,
    read_path,
    transform_path,
    write_path,
)

Element = ElementTree.Element
SVG = "http://www.w3.org/2000/svg"
SHAPES = ("path", "circle", "ellipse", "rect", "line", "polyline", "polygon", "text")
"""Elements that draw something and whose place can be computed."""
_UNDRAWN = {"defs", "clipPath", "mask", "symbol", "marker", "pattern", "linearGradient", "radialGradient", "filter"}
_DROPPED = {"title", "desc", "metadata", "script"}
_LENGTHS = {"r", "rx", "ry", "width", "height", "font-size"}
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)


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
    values = [float(value) for value in _FLOAT.findall(root.get("viewBox", ""))]
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


def _read_transform(text: str) -> Matrix:
    result = IDENTITY
    for name, inside in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
        values = [float(value) for value in _FLOAT.findall(inside)]
        if name == "translate":
            step = (1, 0, 0, 1, values[0], values[1] if len(values) > 1 else 0)
        elif name == "scale":
            step = (values[0], 0, 0, values[-1], 0, 0)
        elif name == "rotate":
            cos, sin = math.cos(math.radians(values[0])), math.sin(math.radians(values[0]))
            x, y = values[1:3] if len(values) > 2 else (0, 0)
            step = (cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)
        elif name == "matrix":
            step = tuple(values)
        elif name == "skewX":
            step = (1, 0, math.tan(math.radians(values[0])), 1, 0, 0)
        else:
            step = (1, math.tan(math.radians(values[0])), 0, 1, 0, 0)
        result = compose(result, step)
    return result


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """The matrix that does `inner` first."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return (a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f)


def _number(element: Element, name: str, default: float = 0.0) -> float:
    match = _FLOAT.match(element.get(name, "").strip())
    return float(match.group()) if match else default


def outline(element: Element) -> list[Point]:
    """Points along a shape, in its parent's units, its own transform applied; empty if nothing is known of it."""
    tag = element.tag
    if tag == "path":
        points = path_points(read_path(element.get("d", "")))
    elif tag in ("circle", "ellipse"):
        rx = _number(element, "r" if tag == "circle" else "rx")
        ry = rx if tag == "circle" else _number(element, "ry", rx)
        x, y = _number(element, "cx"), _number(element, "cy")
        turns = [math.tau * step / 16 for step in range(16)]
        points = [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]
    elif tag == "rect":
        x, y = _number(element, "x"), _number(element, "y")
        right, bottom = x + _number(element, "width"), y + _number(element, "height")
        points = [(x, y), (right, y), (right, bottom), (x, bottom)]
    elif tag == "line":
        points = [(_number(element, f"x{end}"), _number(element, f"y{end}")) for end in "12"]
    elif tag in ("polyline", "polygon"):
        values = [float(value) for value in _FLOAT.findall(element.get("points", ""))]
        points = list(zip(values[::2], values[1::2], strict=False))
    elif tag == "text":
        # Letters are about 0.6 as wide as they are high.
        size = _number(element, "font-size", 16)
        width = 0.6 * size * len("".join(element.itertext()))
        left = _number(element, "x") - width * {"middle": 0.5, "end": 1}.get(element.get("text-anchor"), 0)
        points = [(left, _number(element, "y")), (left + width, _number(element, "y") - 0.7 * size)]
    else:
        return []
    return map_points(points, _read_transform(element.get("transform", "")))


@dataclass
class Item:
    """A shape that is drawn: the element, what it inherits from, and where it lies on the canvas.

    Attributes:
      element, parent: in the tree.
      chain: the element, its parent, up to the root.
      points: its outline in the root's units.
      box: the canvas, as `view_box` says.
    """

    element: Element
    parent: Element
    chain: tuple[Element, ...]
    points: list[Point]
    box: tuple[float, float, float, float]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in the root's units."""
        xs, ys = zip(*self.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def size(self) -> float:
        """The longer side as a share of the canvas."""
        left, top, right, bottom = self.bounds
        return max(right - left, bottom - top) / max(self.box[2:])

    @property
    def cell(self) -> int:
        """0 to 8: where its centre is in a grid of 3 x 3, row after row."""
        left, top, right, bottom = self.bounds
        return cell_at((left + right) / 2, (top + bottom) / 2, self.box)

    @property
    def location(self) -> str:
        return LOCATIONS[self.cell]

    def get(self, name: str, default: str) -> str:
        """The value of a presentation attribute, inherited where it must be; styles win over attributes."""
        for element in self.chain:
            style = dict(part.split(":", 1) for part in element.get("style", "").split(";") if ":" in part)
            style = {key.strip(): value.strip() for key, value in style.items()}
            if name in style or name in element.attrib:
                return style.get(name, element.get(name))
        return default


def cell_at(x: float, y: float, box: tuple[float, float, float, float]) -> int:
    """The cell of a 3 x 3 grid a point of the canvas is in."""
    column = min(2, max(0, int((x - box[0]) / box[2] * 3)))
    row = min(2, max(0, int((y - box[1]) / box[3] * 3)))
    return 3 * row + column


def items(root: Element) -> list[Item]:
    """The shapes of a drawing, in the order they are drawn."""
    box = view_box(root)
    found: list[Item] = []

    def visit(parent: Element, chain: tuple[Element, ...], matrix: Matrix) -> None:
        for child in parent:
            if child.tag in _UNDRAWN:
                continue
            if child.tag in SHAPES:
                points = map_points(outline(child), matrix)
                if points:
                    found.append(Item(child, parent, (child, *chain), points, box))
            else:
                inner = compose(matrix, _read_transform(child.get("transform", "")))
                visit(child, (child, *chain), inner)

    visit(root, (root,), IDENTITY)
    return found


def transform_shape(element: Element, matrix: Matrix) -> None:
    """Changes a shape by a matrix that keeps axes on axes (in its parent's units), in its numbers if possible."""
    a, b, c, d, e, f = matrix
    straight = b == 0 and c == 0
    tag = element.tag
    turned_text = tag == "text" and (not straight or a < 0 or d < 0)
    if "transform" in element.attrib or turned_text or (tag == "text" and len(element)):
        values = " ".join(number(value) for value in matrix)
        element.set("transform", f"matrix({values}) {element.get('transform', '')}".strip())
        return
    if tag == "path":
        element.set("d", write_path(transform_path(read_path(element.get("d", "")), matrix)))
        return
    if tag in ("polyline", "polygon"):
        points = map_points(outline(element), matrix)
        element.set("points", " ".join(f"{number(x)} {number(y)}" for x, y in points))
        return
    factor = abs(a) if straight else abs(b)
    if tag == "rect":
        (x1, y1), _, (x2, y2), _ = map_points(outline(element), matrix)
        changed = {"x": min(x1, x2), "y": min(y1, y2), "width": abs(x2 - x1), "height": abs(y2 - y1)}
        changed |= {name: _number(element, name) * factor for name in ("rx", "ry") if name in element.attrib}
        if not straight and {"rx", "ry"} <= set(element.attrib):
            changed["rx"], changed["ry"] = changed["ry"], changed["rx"]
    else:
        changed = {}
        for x_name, y_name in (("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")):
            used = {"circle": "cx", "ellipse": "cx", "text": "x"}.get(tag)
            if x_name == used or (tag == "line" and x_name in ("x1", "x2")):
                point = (_number(element, x_name), _number(element, y_name))
                ((changed[x_name], changed[y_name]),) = map_points([point], matrix)
        lengths = {name: _number(element, name) * factor for name in _LENGTHS if name in element.attrib}
        if not straight and "ry" in lengths:
            lengths["rx"], lengths["ry"] = lengths["ry"], lengths["rx"]
        if tag == "text" and factor != 1:
            lengths.setdefault("font-size", 16 * factor)
        changed |= lengths
    for name, value in changed.items():
        element.set(name, number(value))
