"""Generated drawings: a few simple shapes on a 3 x 3 grid, in one canonical SVG form. What a tiny model can learn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np

from jaxerm.data.program import Program

LOCATIONS = (
    "top left", "top", "top right",
    "left", "center", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
CENTRES = (12, 32, 52)
KINDS = ("circle", "square", "triangle", "diamond", "letter")
COLOURS = ("red", "blue", "green", "orange", "purple", "black", "cyan")
SIZES = {"small": 5, "medium": 7, "large": 9}
"""Half the side of the square a shape fills, of a canvas of 64."""
LETTERS = "ABCDEF"
_OPEN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'


@dataclass(frozen=True)
class Shape:
    """One shape: what, which colour and size, in which cell of the grid (0 to 8, row after row)."""

    kind: str
    colour: str
    size: str
    cell: int
    letter: str = ""

    @property
    def location(self) -> str:
        return LOCATIONS[self.cell]

    @property
    def noun(self) -> str:
        return f"letter {self.letter}" if self.kind == "letter" else self.kind

    @property
    def words(self) -> str:
        return f"{self.colour} {self.noun}"

    def element(self) -> str:
        """The SVG element."""
        x, y, r = CENTRES[self.cell % 3], CENTRES[self.cell // 3], SIZES[self.size]
        if self.kind == "circle":
            return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{self.colour}"/>'
        if self.kind == "square":
            return f'<rect x="{x - r}" y="{y - r}" width="{2 * r}" height="{2 * r}" fill="{self.colour}"/>'
        if self.kind == "letter":
            return (
                f'<text x="{x}" y="{y + r}" font-size="{3 * r}" text-anchor="middle" fill="{self.colour}">'
                f"{self.letter}</text>"
            )
        if self.kind == "triangle":
            points = f"{x},{y - r} {x + r},{y + r} {x - r},{y + r}"
        else:
            points = f"{x},{y - r} {x + r},{y} {x},{y + r} {x - r},{y}"
        return f'<polygon points="{points}" fill="{self.colour}"/>'


def to_svg(shapes: list[Shape]) -> str:
    """The drawing, its shapes in reading order, one element a line."""
    lines = [shape.element() for shape in sorted(shapes, key=lambda shape: shape.cell)]
    return "\n".join([_OPEN, *lines, "</svg>"])


def to_shapes(code: str) -> list[Shape] | None:
    """The shapes of a drawing in the canonical form; None if the code is anything else."""
    try:
        root = ElementTree.fromstring(code)
    except ElementTree.ParseError:
        return None
    shapes = []
    for element in root:
        shape = _to_shape(element)
        if shape is None:
            return None
        shapes.append(shape)
    return shapes if to_svg(shapes) == code else None


def _to_shape(element: ElementTree.Element) -> Shape | None:
    tag, get = element.tag.rpartition("}")[2], element.get
    sizes = {half: name for name, half in SIZES.items()}
    letter = ""
    try:
        if tag == "circle":
            kind, x, y, r = "circle", int(get("cx")), int(get("cy")), int(get("r"))
        elif tag == "rect":
            r = int(get("width")) // 2
            kind, x, y = "square", int(get("x")) + r, int(get("y")) + r
        elif tag == "text":
            r = int(get("font-size")) // 3
            kind, x, y, letter = "letter", int(get("x")), int(get("y")) - r, element.text or ""
        elif tag == "polygon":
            points = [tuple(map(int, point.split(","))) for point in get("points").split()]
            x, r = points[0][0], points[1][0] - points[0][0]
            kind, y = ("triangle" if len(points) == 3 else "diamond"), points[0][1] + r
        else:
            return None
        cell = CENTRES.index(y) * 3 + CENTRES.index(x)
        return Shape(kind, get("fill"), sizes[r], cell, letter)
    except (AttributeError, TypeError, ValueError, KeyError, IndexError):
        return None


def random_shape(rng: np.random.Generator, cell: int) -> Shape:
    """A shape drawn evenly from all kinds, colours and sizes."""
    kind = KINDS[rng.integers(len(KINDS))]
    letter = LETTERS[rng.integers(len(LETTERS))] if kind == "letter" else ""
    return Shape(kind, COLOURS[rng.integers(len(COLOURS))], list(SIZES)[rng.integers(len(SIZES))], cell, letter)


@dataclass(frozen=True)
class Drawings:
    """`n` drawings of `min_shapes` to `max_shapes` shapes each.

    Args:
      n: drawings there are.
      seed: of all of them; drawing i is the same on every machine.
      max_shapes: 1 to 9.
      min_shapes: 1 to `max_shapes`. There are only 1,890 drawings of one shape: what is held out takes two or more.
    """

    n: int = 100_000
    seed: int = 0
    max_shapes: int = 4
    min_shapes: int = 1

    task = "svg"

    def __post_init__(self):
        if not 1 <= self.min_shapes <= self.max_shapes <= 9:
            raise ValueError(
                f"min_shapes is {self.min_shapes} and max_shapes {self.max_shapes}; a 3 x 3 grid holds 1 to 9"
            )

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < self.n:
            raise IndexError(f"drawing {index}; there are {self.n}")
        rng = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        count = int(rng.integers(self.min_shapes, self.max_shapes + 1))
        cells = sorted(int(cell) for cell in rng.choice(9, size=count, replace=False))
        shapes = [random_shape(rng, cell) for cell in cells]
        description = "; ".join(f"{shape.location}: {shape.size} {shape.words}" for shape in shapes)
        return Program("svg", to_svg(shapes), f"drawing-{self.seed}-{index}", description)
