"""The ledger of an attempt at an SVG: tree with tree, shapes matched so that what differs matters least."""

from __future__ import annotations

from itertools import product

import numpy as np
from PIL import ImageColor
from scipy.optimize import linear_sum_assignment

from jaxerm.data.corruption import svg_words as words
from jaxerm.data.program import Edit
from jaxerm.data.svg_items import Item, items
from jaxerm.data.svg_tree import Element, read_svg

_UNREAD = {"use", "image", "foreignObject", "style"}
"""Elements whose looks are not in the tree."""
_SAME = 0.02
"""Shares of the canvas below which two outlines are one."""


def compare_svgs(reference: str, attempt: str) -> tuple[Edit, ...] | None:
    """What differs between an SVG and an attempt at it, in the words of `corrupt_svg`.

    Coordinates are compared as shares of the canvas, so that another viewBox is no difference.

    Returns:
      The ledger in reading order of the reference's locations; None if the attempt is no SVG, or draws with elements
      whose looks are not in the tree.

    Raises:
      ValueError: the reference is no SVG, or is such a one.
    """
    wanted = _shapes(reference)
    try:
        found = _shapes(attempt)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    entries: list[tuple[tuple[float, ...], Edit]] = []
    for shape in [shape for shape in found if shape.covers_all]:
        colour = words.paint(shape.item)
        if not any(known.covers_all for known in wanted) and colour is not None:
            entries.append(((4, -1, -1), _edit(words.papered(colour[1]), "center")))
            found.remove(shape)
    pairs = _match(wanted, found)
    zoom = _zoom(wanted, found)
    if zoom is not None:
        before = _total(pairs)
        for shape in found:
            shape.shrink(zoom)
        again = _match(wanted, found)
        if _total(again) + 2 < before:
            entries.append(((-1, -1, -1), _edit(words.zoomed(zoom < 1), "center")))
            pairs = again
        else:
            for shape in found:
                shape.shrink(1 / zoom)
    for old, new in pairs:
        if old is None:
            entries.append((new.order, _extra(new, pairs)))
        else:
            said = [words.missing(old.item)] if new is None else _changes(old, new)
            entries += [(old.order, _edit(entry, old.item.location)) for entry in said]
    entries.sort(key=lambda entry: entry[0])
    return tuple(edit for _, edit in entries)


def _edit(said: words.Words, location: str) -> Edit:
    kind, category, severity, text = said
    return Edit(kind, category, severity, location, text)


class _Shape:
    """A shape with its outline as shares of the canvas, float[N, 2], from the middle of it."""

    def __init__(self, item: Item):
        left, top, width, height = item.box
        self.item, self.side = item, max(width, height)
        self.points = (np.array(item.points) - (left + width / 2, top + height / 2)) / self.side
        self.order = (item.cell, item.bounds[1], item.bounds[0])
        self.covers_all = item.element.tag == "rect" and self.size.min() >= 0.99 * min(width, height) / self.side

    def shrink(self, factor: float) -> None:
        """Makes it smaller about the middle of the canvas, its lines included."""
        self.points = self.points / factor
        self.side = self.side * factor

    @property
    def low(self) -> np.ndarray:
        return self.points.min(axis=0)

    @property
    def size(self) -> np.ndarray:
        return self.points.max(axis=0) - self.low

    @property
    def middle(self) -> np.ndarray:
        return self.low + self.size / 2

    @property
    def sort(self) -> str:
        """What it is, whatever a text says."""
        return "text" if self.item.element.tag == "text" else words.noun(self.item)


def _shapes(code: str) -> list[_Shape]:
    root = read_svg(code)
    unread = {element.tag for element in root.iter()} & _UNREAD
    if unread:
        raise ValueError(f"the looks of <{unread.pop()}> cannot be compared")
    return [_Shape(item) for item in items(root)]


def _match(wanted: list[_Shape], found: list[_Shape]) -> list[tuple[_Shape | None, _Shape | None]]:
    n, m = len(wanted), len(found)
    cost = np.full((n + m, n + m), np.inf)
    cost[n:, m:] = 0
    for i, j in product(range(n), range(m)):
        old, new = wanted[i], found[j]
        # Of two shapes alike, the nearer one, and the one drawn as early.
        apart = np.abs(old.middle - new.middle).sum() + np.abs(old.size - new.size).sum()
        cost[i, j] = sum(entry[2] for entry in _changes(old, new)) + 0.1 * apart + 1e-3 * abs(i - j)
    for i, shape in enumerate(wanted):
        cost[i, m + i] = words.missing(shape.item)[2] + 0.4
    cost[n + np.arange(m), np.arange(m)] = 2
    return [
        (wanted[i] if i < n else None, found[j] if j < m else None)
        for i, j in zip(*linear_sum_assignment(cost), strict=True)
        if i < n or j < m
    ]


def _total(pairs) -> int:
    """Severity of all that differs."""

    def severity(old: _Shape | None, new: _Shape | None) -> int:
        if old is None:
            return 2
        return sum(entry[2] for entry in ([words.missing(old.item)] if new is None else _changes(old, new)))

    return sum(severity(old, new) for old, new in pairs)


def _zoom(wanted: list[_Shape], found: list[_Shape]) -> float | None:
    """How much larger all of the attempt is about the middle of the canvas; None where it is not."""
    if not wanted or not found:
        return None
    reach = [np.abs(np.concatenate([shape.points for shape in shapes])).max() for shapes in (wanted, found)]
    factor = reach[1] / max(reach[0], 1e-6)
    return float(factor) if 0.4 < factor < 0.93 or 1.08 < factor < 2.5 else None


def _extra(shape: _Shape, pairs) -> Edit:
    """The entry of a shape that should not be there: a twin of another, a letter, or just a shape."""
    item = shape.item
    painted = words.paint(item)
    for old, new in pairs:
        if old is None or new is None or new.sort != shape.sort or words.paint(new.item) != painted:
            continue
        step = shape.middle - new.middle
        if np.abs(step).max() > _SAME and _apart(new.points + step, shape.points) < _SAME:
            across = abs(step[0]) >= abs(step[1])
            way = ("right" if step[0] > 0 else "left") if across else ("below" if step[1] > 0 else "above")
            return _edit(words.repeated(old.item, way), old.item.location)
    colour = painted[1] if painted else "black"
    text = "".join(item.element.itertext()).strip()
    if shape.sort == "text" and len(text) == 1:
        return _edit(words.extra_letter(text, colour), item.location)
    return _edit(words.extra(words.noun(item), colour), item.location)


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    """How far the furthest point of either outline is from the other."""
    gaps = np.abs(one[:, None] - two[None]).max(axis=-1)
    return float(max(gaps.min(axis=0).max(), gaps.min(axis=1).max()))


def _changes(old: _Shape, new: _Shape) -> list[words.Words]:
    """An entry for each way in which two shapes differ."""
    if old.sort == "text" == new.sort:
        return [*_text(old, new), *_style(old, new)]
    return [*_geometry(old, new), *_style(old, new)]


def _moved(old: _Shape, step: np.ndarray) -> list[words.Words]:
    if np.abs(step).max() <= _SAME:
        return []
    across = "right" if step[0] > 0 else "left"
    down = "down" if step[1] > 0 else "up"
    # A little sideways on a long way is not worth a word.
    ways = [way for way, length in ((across, abs(step[0])), (down, abs(step[1]))) if length > 0.25 * np.abs(step).max()]
    return [words.moved(old.item, " and ".join(ways), round(float(np.abs(step).max()), 2))]


def _geometry(old: _Shape, new: _Shape) -> list[words.Words]:
    if len(old.points) == len(new.points) and np.abs(old.points - new.points).max() < 0.005:
        same = old.sort == new.sort
        return _corners(old, new) if same else [words.replaced(old.item, new.sort)]
    step = new.middle - old.middle
    factor = float(new.size.max() / max(old.size.max(), 1e-6))
    size = [words.scaled(old.item, round(factor, 2))] if abs(factor - 1) > 0.06 else []
    place = _moved(old, step)
    if old.sort != new.sort and not (_line(old) and _line(new)):
        return [words.replaced(old.item, new.sort), *place, *size]
    rest = old.points - old.middle
    if _apart(rest * factor, new.points - new.middle) < _SAME:
        return [*place, *size, *_corners(old, new)]
    for way, (a, b, c, d) in words.WAYS.items():
        # x' = a x + c y, y' = b x + d y.
        if _apart(rest @ np.array([[a, b], [c, d]]) * factor, new.points - new.middle) < _SAME:
            return [words.turned(old.item, way), *place, *size]
    return [words.bent(old.item), *place]


def _line(shape: _Shape) -> bool:
    return shape.sort in ("line", "dot", "bent line")


def _corners(old: _Shape, new: _Shape) -> list[words.Words]:
    if old.item.element.tag != "rect" or new.item.element.tag != "rect" or old.size.min() < words.SMALL:
        return []
    round_ = [any(shape.item.element.get(name, "0") not in ("0", "") for name in ("rx", "ry")) for shape in (old, new)]
    return [words.cornered(old.item, round_[1])] if round_[0] != round_[1] else []


def _text(old: _Shape, new: _Shape) -> list[words.Words]:
    """What differs in two texts: what they say, where, how large. Their width follows from the letters."""
    said = ["".join(shape.item.element.itertext()).strip() for shape in (old, new)]
    found = [words.reworded(said[1], said[0])] if said[0] != said[1] else []
    middle = old.item.get("text-anchor", "start") == "middle"
    edge = [shape.middle if middle else np.array([shape.low[0], shape.middle[1]]) for shape in (old, new)]
    factor = new.size[1] / max(old.size[1], 1e-6)
    if abs(factor - 1) > 0.06:
        return [*found, words.text_sized(old.item, factor > 1)]
    return [*found, *_moved(old, edge[1] - edge[0])]


def _rgb(colour: str) -> object:
    """What can be compared of a colour; None where nothing is painted."""
    if colour in ("none", "transparent"):
        return None
    try:
        return ImageColor.getrgb(colour)
    except ValueError:
        return colour


def _number(item: Item, name: str, default: str) -> float:
    try:
        return float(item.get(name, default).removesuffix("px"))
    except ValueError:
        return float(default)


def _style(old: _Shape, new: _Shape) -> list[words.Words]:
    one, two = old.item, new.item
    found = []
    fills = [_rgb(item.get("fill", "black")) for item in (one, two)]
    strokes = [_rgb(item.get("stroke", "none")) for item in (one, two)]
    painted = words.paint(one), words.paint(two)
    if strokes[0] is None and strokes[1] is not None and fills[1] is None and fills[0] is not None:
        found.append(words.hollow(one, one.get("fill", "black")))
    elif fills[0] is None and fills[1] is not None and strokes[0] is not None and one.element.tag in _CLOSED:
        found.append(words.filled(one, two.get("fill", "black")))
    elif all(painted) and _rgb(painted[0][1]) != _rgb(painted[1][1]):
        found.append(words.recoloured(one, painted[1][1], painted[0][1]))
    if all(strokes):
        width = _number(one, "stroke-width", "1"), _number(two, "stroke-width", "1") * old.side / new.side
        if abs(width[1] - width[0]) > 0.1 * width[0]:
            found.append(words.wide(one, width[1], width[0]))
        dashed = [item.get("stroke-dasharray", "none") != "none" for item in (one, two)]
        if dashed[0] != dashed[1]:
            found.append(words.dashed(one, dashed[1]))
        ends = [item.get("stroke-linecap", "butt") for item in (one, two)]
        if _line(old) and ends[0] != ends[1] and set(ends) <= set(words.ENDS):
            found.append(words.ended(one, ends[1], ends[0]))
        elif old.sort == "curve" and ends[0] != ends[1] and set(ends) <= set(words.ENDS) and _open(one.element):
            found.append(words.ended(one, ends[1], ends[0]))
    opacity = [item.get("opacity", "1") for item in (one, two)]
    if abs(_number(one, "opacity", "1") - _number(two, "opacity", "1")) > 0.05:
        found.append(words.faded(one, opacity[1], opacity[0]))
    return found


_CLOSED = ("circle", "ellipse", "rect", "polygon")


def _open(element: Element) -> bool:
    return "z" not in element.get("d", "z").lower()
