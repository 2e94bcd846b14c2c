"""What is said of a changed shape, and how much it matters: the same words for those we broke and all others."""

from __future__ import annotations

from jaxerm.data.corruption.common import contrast, shown
from jaxerm.data.svg_items import Item
from jaxerm.data.svg_path import number, read_path

SMALL, LARGE = 1 / 8, 1 / 3
"""Sides of a shape, as shares of the canvas, below and above which it matters less and more."""
DOT = 1 / 50
"""A line shorter than this is drawn for its round ends."""
ENDS = {"round": "round", "butt": "cut off", "square": "square"}
Words = tuple[str, str, int, str]
"""Kind, category, severity, description."""


def noun(item: Item) -> str:
    """What a shape is called by someone who only sees it."""
    tag = item.element.tag
    if tag == "text":
        return f'text "{shown("".join(item.element.itertext()))}"'
    if tag == "path":
        kinds = [letter.lower() for letter, _ in read_path(item.element.get("d", ""))]
        if set(kinds) & set("csqta"):
            return "curve"
        if len(kinds) == 2:
            return "dot" if item.size < DOT else "line"
        return "polygon" if "z" in kinds else "bent line"
    return {"rect": "rectangle", "polyline": "bent line"}.get(tag, tag)


def paint(item: Item) -> tuple[str, str] | None:
    """Which attribute gives a shape its colour, and that colour; None where it is not drawn in a plain colour."""
    stroke, fill = item.get("stroke", "none"), item.get("fill", "black")
    for name, value in (("stroke", stroke), ("fill", fill)):
        if value not in ("none", "transparent"):
            return None if value.startswith("url") else (name, value)
    return None


def missing(item: Item) -> Words:
    severity = 1 if item.size < SMALL else 2 if item.size < LARGE else 3
    return "remove", "structure_error", severity, f"{noun(item)} is missing"


def extra(what: str, colour: str) -> Words:
    """Of a shape, said by its noun, that should not be there."""
    return "add", "structure_error", 2, f"{colour} {what} is extra"


def extra_letter(letter: str, colour: str) -> Words:
    return "letter", "text_symbol_error", 2, f"{colour} letter {letter} is extra"


def repeated(item: Item, way: str) -> Words:
    where = f"to its {way}" if way in ("left", "right") else way + " it"
    text = f"{noun(item)} is there twice, the second {where}"
    return "repeat", "structure_error", 1 if item.size < SMALL else 2, text


def moved(item: Item, way: str, share: float) -> Words:
    """Moved by a share of the canvas."""
    severity = 1 if share < 0.15 else 2 if share < 0.25 else 3
    return "move", "structure_error", severity, f"{noun(item)} is moved {way}"


def scaled(item: Item, factor: float) -> Words:
    strong = factor <= 0.55 or factor >= 1.8
    word = "half as large" if 0.45 < factor <= 0.55 else "twice as large" if 1.8 <= factor < 2.2 else None
    severity = 2 if strong or item.size > LARGE else 1
    text = f"{noun(item)} is {word or ('smaller' if factor < 1 else 'larger')}"
    return "scale", "shape_error", severity, text


WAYS = {
    "mirrored left to right": (-1, 0, 0, 1), "mirrored top to bottom": (1, 0, 0, -1),
    "turned by 90 degrees": (0, 1, -1, 0),
}  # fmt: skip
"""Ways a shape can be turned about its middle -> a, b, c, d of the matrix."""


def turned(item: Item, way: str) -> Words:
    kind = "mirror" if way.startswith("mirrored") else "rotate"
    return kind, "shape_error", 3 if item.size > 2 * LARGE else 2, f"{noun(item)} is {way}"


def replaced(item: Item, new: str) -> Words:
    """Another shape, said by its noun, in its place."""
    return "replace", "shape_error", 2 if item.size < LARGE else 3, f"{new}, should be {noun(item)}"


def bent(item: Item) -> Words:
    """A shape of the same sort with another outline."""
    return "bend", "shape_error", 1 if item.size < SMALL else 2, f"{noun(item)} has another outline"


def recoloured(item: Item, new: str, old: str) -> Words:
    return "recolour", "style_error", 1 if item.size < SMALL else 2, f"{noun(item)} is {new}, should be {old}"


def filled(item: Item, colour: str) -> Words:
    severity = 1 if item.size < SMALL else 2
    return "fill", "style_error", severity, f"{noun(item)} is filled {colour}, should not be filled"


def hollow(item: Item, fill: str) -> Words:
    return "hollow", "style_error", 2, f"{noun(item)} is an outline, should be filled {fill}"


def wide(item: Item, new: float, old: float) -> Words:
    word = "thin" if new < old else "thick"
    text = f"{noun(item)} is too {word}, width {number(new)}, should be {number(old)}"
    return "width", "style_error", 1 if new < old else 2, text


def faded(item: Item, new: str, old: str = "1") -> Words:
    word = "faded, " if float(new) < float(old) else ""
    severity = 2 if abs(float(new) - float(old)) > 0.6 else 1
    return "fade", "style_error", severity, f"{noun(item)} is {word}opacity {new}, should be {old}"


def dashed(item: Item, now: bool) -> Words:
    one, two = ("dashed", "solid") if now else ("solid", "dashed")
    return "dash", "style_error", 2, f"{noun(item)} is {one}, should be {two}"


def ended(item: Item, new: str, old: str) -> Words:
    return "ends", "style_error", 1, f"ends of the {noun(item)} are {ENDS[new]}, should be {ENDS[old]}"


def cornered(item: Item, round_now: bool) -> Words:
    now, then = ("round", "sharp") if round_now else ("sharp", "round")
    return "corner", "shape_error", 1, f"corners of the {noun(item)} are {now}, should be {then}"


def reworded(new: str, old: str) -> Words:
    return "text", "text_symbol_error", 2, 'text is "{}", should be "{}"'.format(*contrast(new, old))


def text_sized(item: Item, larger: bool) -> Words:
    return "text_size", "text_symbol_error", 1, f"{noun(item)} is {'larger' if larger else 'smaller'}"


def papered(colour: str) -> Words:
    return "paper", "style_error", 2, f"background is {colour}, should be white"


def zoomed(smaller: bool) -> Words:
    word = "smaller" if smaller else "larger"
    return "zoom", "structure_error", 2, f"the whole drawing is {word} than it should be"
