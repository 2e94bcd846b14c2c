"""Where the shapes of an SVG lie, what they look like, and how to move, scale or turn one of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

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
from jaxerm.data.svg_tree import FLOAT, Element, view_box

SHAPES = ("path", "circle", "ellipse", "rect", "line", "polyline", "polygon", "text")
"""Elements that draw something and whose place can be computed."""
_UNDRAWN = {"defs", "clipPath", "mask", "symbol", "marker", "pattern", "linearGradient", "radialGradient", "filter"}
_LENGTHS = {"r", "rx", "ry", "width", "height", "font-size"}
IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)


def _read_transform(text: str) -> Matrix:
    result = IDENTITY
    for name, inside in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
        values = [float(value) for value in FLOAT.findall(inside)]
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
    match = FLOAT.match(element.get(name, "").strip())
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
        values = [float(value) for value in FLOAT.findall(element.get("points", ""))]
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
