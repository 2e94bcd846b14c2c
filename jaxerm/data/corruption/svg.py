"""Edits of any SVG, on its tree: shapes removed, added, moved, scaled, turned, replaced, repainted; text changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from jaxerm.data.corruption import svg_words as words
from jaxerm.data.corruption.common import Step, choose, misspelt, other, pick
from jaxerm.data.corruption.svg_more import MoreEdits
from jaxerm.data.program import Edit
from jaxerm.data.sources.drawings import COLOURS, LOCATIONS
from jaxerm.data.svg_items import Item, cell_at, compose, items, transform_shape
from jaxerm.data.svg_path import map_points, number
from jaxerm.data.svg_tree import Element, read_svg, view_box, write_svg

_CLOSED = ("circle", "ellipse", "rect", "polygon")


def _set(element: Element, name: str, value: str) -> None:
    """Sets a presentation attribute of the element itself, past a style that would win over it."""
    parts = [part for part in element.get("style", "").split(";") if part.strip()]
    rest = [part for part in parts if part.split(":")[0].strip() != name]
    if len(rest) < len(parts):
        element.set("style", ";".join([*rest, f"{name}:{value}"]))
    else:
        element.set(name, value)


class _Editor(MoreEdits):
    """Draws steps for one drawing."""

    def __init__(self, root: Element, rng: np.random.Generator):
        self.root, self.rng = root, rng
        self.put = _set
        self.box = view_box(root)
        self.side = max(self.box[2:])
        self.items = items(root)
        self.number = {id(element): place for place, element in enumerate(root.iter())}

    def makers(self) -> list[Callable[[], Step | None]]:
        kinds = (
            self.remove, self.move, self.scale, self.turn, self.replace, self.recolour, self.fill, self.width,
            self.fade, self.dash,
        )  # fmt: skip
        on_items = [lambda kind=kind: kind(pick(self.rng, self.items)) for kind in kinds if self.items]
        texts = [item for item in self.items if item.element.tag == "text" and not len(item.element)]
        # Text is rare and says much: where there is any, it gets a third of the edits.
        on_texts = [lambda: self.retext(pick(self.rng, texts))] * (5 if texts else 0)
        return [*on_items, *on_texts, self.add, *self.more()]

    def _step(self, item: Item, edit: words.Words, apply: Callable[[Element], None]) -> Step:
        kind, category, severity, text = edit
        place = self.number[id(item.element)]
        left, top, _, _ = item.bounds
        return Step(
            Edit(kind, category, severity, item.location, text),
            lambda root: apply(list(root.iter())[place]),
            frozenset([place]),
            (item.cell, top, left, place),
        )

    def remove(self, item: Item) -> Step:
        # Taking it out of the tree would renumber what comes after it: it is marked here and taken out at the end.
        return self._step(item, words.missing(item), lambda element: element.set("removed", "yes"))

    def _matrix_step(self, item: Item, matrix, edit: words.Words) -> Step | None:
        moved = map_points(item.points, matrix)
        left, top, width, height = self.box
        inside = [left <= x <= left + width and top <= y <= top + height for x, y in moved]
        # A shape that comes to lie on itself has not changed, and on another one it cannot be told from a missing one.
        covered = any(self._trace(moved) == self._trace(known.points) for known in self.items)
        if not all(inside) or covered or self._inherits_transform(item):
            return None
        return self._step(item, edit, lambda element: transform_shape(element, matrix))

    def _trace(self, points) -> set[tuple[int, int]]:
        return {(round(x / self.side * 50), round(y / self.side * 50)) for x, y in points}

    @staticmethod
    def _inherits_transform(item: Item) -> bool:
        return any("transform" in element.attrib for element in item.chain[1:])

    def move(self, item: Item) -> Step | None:
        share = pick(self.rng, (0.1, 0.15, 0.2, 0.3))
        dx, dy, way = pick(self.rng, ((1, 0, "right"), (-1, 0, "left"), (0, 1, "down"), (0, -1, "up")))
        length = round(share * self.side, 0 if self.side >= 20 else 2)
        return self._matrix_step(item, (1, 0, 0, 1, dx * length, dy * length), words.moved(item, way, share))

    def _about(self, item: Item, a: float, b: float, c: float, d: float):
        left, top, right, bottom = item.bounds
        x, y = (left + right) / 2, (top + bottom) / 2
        return compose(compose((1, 0, 0, 1, x, y), (a, b, c, d, 0, 0)), (1, 0, 0, 1, -x, -y))

    def scale(self, item: Item) -> Step | None:
        factor = pick(self.rng, (0.5, 0.7, 1.4, 2))
        if abs(factor - 1) * item.size < 0.05:
            return None
        return self._matrix_step(item, self._about(item, factor, 0, 0, factor), words.scaled(item, factor))

    def turn(self, item: Item) -> Step | None:
        if item.element.tag in ("circle", "text") or item.size < words.SMALL:
            return None
        way = pick(self.rng, list(words.WAYS))
        return self._matrix_step(item, self._about(item, *words.WAYS[way]), words.turned(item, way))

    def replace(self, item: Item) -> Step | None:
        """A circle for a rectangle, and a rectangle for a circle or an ellipse."""
        tag = item.element.tag
        if tag not in ("circle", "ellipse", "rect") or "transform" in item.element.attrib or item.size < words.SMALL:
            return None
        left, top, right, bottom = item.bounds if not self._inherits_transform(item) else (0, 0, 0, 0)
        if right <= left or bottom <= top:
            return None
        new = "rect" if tag != "rect" else "ellipse"
        if new == "rect":
            values = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        else:
            values = {"cx": (left + right) / 2, "cy": (top + bottom) / 2}
            values |= {"rx": (right - left) / 2, "ry": (bottom - top) / 2}

        def apply(element: Element) -> None:
            kept = {name: value for name, value in element.items() if name not in _GEOMETRY}
            element.tag = new
            element.attrib.clear()
            element.attrib.update({name: number(value) for name, value in values.items()} | kept)

        return self._step(item, words.replaced(item, "rectangle" if new == "rect" else new), apply)

    def recolour(self, item: Item) -> Step | None:
        painted = words.paint(item)
        if painted is None:
            return None
        name, now = painted
        colour = other(self.rng, COLOURS, now)
        return self._step(item, words.recoloured(item, colour, now), lambda element: _set(element, name, colour))

    def fill(self, item: Item) -> Step | None:
        outlined = item.get("fill", "black") == "none" and item.get("stroke", "none") != "none"
        if item.element.tag not in _CLOSED or not outlined:
            return None
        colour = pick(self.rng, COLOURS)
        if any(known is not item and self._within(known, item) for known in self.items[: self.items.index(item)]):
            return None  # it would hide what was drawn before
        return self._step(item, words.filled(item, colour), lambda element: _set(element, "fill", colour))

    @staticmethod
    def _within(inner: Item, outer: Item) -> bool:
        """Whether the middle of one shape lies in the bounds of another."""
        left, top, right, bottom = inner.bounds
        across, down = (left + right) / 2, (top + bottom) / 2
        return outer.bounds[0] < across < outer.bounds[2] and outer.bounds[1] < down < outer.bounds[3]

    def width(self, item: Item) -> Step | None:
        if item.get("stroke", "none") == "none":
            return None
        try:
            now = float(item.get("stroke-width", "1"))
        except ValueError:
            return None
        new = now * pick(self.rng, (0.5, 2))
        return self._step(item, words.wide(item, new, now), lambda element: _set(element, "stroke-width", number(new)))

    def fade(self, item: Item) -> Step | None:
        if any(item.get(name, "1") != "1" for name in ("opacity", "stroke-opacity", "fill-opacity")):
            return None
        new = pick(self.rng, ("0.2", "0.5"))
        return self._step(item, words.faded(item, new), lambda element: _set(element, "opacity", new))

    def dash(self, item: Item) -> Step | None:
        solid = item.get("stroke", "none") != "none" and item.get("stroke-dasharray", "none") == "none"
        if not solid or item.size < words.LARGE:
            return None
        # Round caps fill a gap that is not longer than the line is thick.
        dashes = f"{number(self.side / 16)} {number(self.side / 6)}"
        return self._step(item, words.dashed(item, True), lambda element: _set(element, "stroke-dasharray", dashes))

    def retext(self, item: Item) -> Step | None:
        text = item.element.text or ""
        new = misspelt(self.rng, text.strip())
        if new is None and text.strip().isalnum():
            new = other(self.rng, "0123456789" if text.strip().isdigit() else "ABCDEFGHKLMNPRSTUVXYZ", text.strip())
        if new is None:
            return None

        def apply(element: Element) -> None:
            element.text = new

        return self._step(item, words.reworded(new, text), apply)

    def add(self) -> Step | None:
        """A circle, a square or a line where there is the most room of six places drawn."""
        rng, (left, top, width, height) = self.rng, self.box
        spots = [(left + x * width, top + y * height) for x, y in 0.15 + 0.7 * rng.random((6, 2))]
        points = [point for item in self.items for point in item.points]
        x, y = max(spots, key=lambda spot: min([abs(spot[0] - u) + abs(spot[1] - v) for u, v in points] or [0]))
        places = 0 if self.side >= 20 else 2
        x, y, r = (round(value, places) for value in (x, y, 0.09 * self.side))
        kind = pick(rng, ("circle", "rect", "line"))
        values = {
            "circle": {"cx": x, "cy": y, "r": r},
            "rect": {"x": x - r, "y": y - r, "width": 2 * r, "height": 2 * r},
            "line": {"x1": x - r, "y1": y + r, "x2": x + r, "y2": y - r},
        }[kind]
        new = {name: number(value) for name, value in values.items()}
        colour = pick(rng, COLOURS)
        new["fill" if kind != "line" and self.root.get("fill") != "none" else "stroke"] = colour
        cell = cell_at(x, y, self.box)
        said, category, severity, text = words.extra("rectangle" if kind == "rect" else kind, colour)
        edit = Edit(said, category, severity, LOCATIONS[cell], text)
        return Step(edit, lambda root: root.append(Element(kind, new)), frozenset([("added", cell)]), (cell, y, x, 1e9))


_ADDING = ("add", "letter", "paper")
_GEOMETRY = ("x", "y", "width", "height", "rx", "ry", "cx", "cy", "r")


def _applied(root: Element, steps: list[Step]) -> str:
    changed = copy.deepcopy(root)
    # What is added comes last, after all that is counted from the start.
    for step in sorted(steps, key=lambda step: _ADDING.index(step.edit.kind) if step.edit.kind in _ADDING else -1):
        step.apply(changed)
    for parent in list(changed.iter()):
        for place, child in reversed(list(enumerate(parent))):
            if shift := child.attrib.pop("repeated", None):
                twin = copy.deepcopy(child)
                transform_shape(twin, (1, 0, 0, 1, *map(float, shift.split())))
                parent.insert(place + 1, twin)
            if child.attrib.pop("removed", None):
                parent.remove(child)
    return write_svg(changed)


def corrupt_svg(code: str, rng: np.random.Generator, n_edits: int) -> tuple[str, list[Edit], list[str], list[str]]:
    """Applies up to `n_edits` edits to different shapes of an SVG.

    Locations are the nine words of `drawings.LOCATIONS`: where the middle of the shape is in the reference. A shape is
    small below an eighth of the canvas, large above a third. Severity: a shape missing counts 1 if it is small, 3 if it
    is large, else 2; a move 1 up to an eighth of the canvas, 3 from a quarter, else 2; another shape or a large part
    mirrored or turned 3, a part 2; twice or half the size 2, less than that 1 (2 if large); extra or repeated shapes,
    text, letters, colour, fill, outlines, dashes and background 2 (1 on small shapes), and so the whole drawing larger
    or smaller; lines too thick 2, too thin 1; opacity 0.2 counts 2, 0.5 counts 1; line ends, corners, text size 1.

    Returns:
      The code, the ledger in reading order of the reference's locations, the code with each edit alone, and the code
      with all the others.

    Raises:
      ValueError: not an SVG.
    """
    root = read_svg(code)
    if n_edits == 0:
        return code, [], [], []
    editor = _Editor(root, rng)

    def fits(steps: list[Step]) -> bool:
        return sum(step.edit.kind == "remove" for step in steps) < len(editor.items)

    steps = choose(rng, editor.makers(), n_edits, fits)
    if not steps:
        return code, [], [], []
    edits, alone = [step.edit for step in steps], [_applied(root, [step]) for step in steps]
    without = [_applied(root, [other for other in steps if other is not step]) for step in steps]
    return _applied(root, steps), edits, alone, without
