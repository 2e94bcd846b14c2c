"""SVG path data: read into commands, written compactly, moved by a matrix, sampled into points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

Command = tuple[str, list[float]]
Point = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f) as in SVG: x' = a x + c y + e, y' = b x + d y + f."""

_ARGUMENTS = {"m": 2, "l": 2, "h": 1, "v": 1, "c": 6, "s": 4, "q": 4, "t": 2, "a": 7, "z": 0}
_FLAG = re.compile(r"[\s,]*([01])")
_NUMBER = re.compile(r"[\s,]*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_COMMAND = re.compile(r"[\s,]*([MmLlHhVvCcSsQqTtAaZz])")


def number(value: float, places: int = 3) -> str:
    """A number as compactly as SVG allows: ``.5``, ``-3``, ``12.25``."""
    text = f"{value:.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    text = re.sub(r"^(-?)0\.", r"\1.", text)
    return "0" if text in ("-0", "", "-") else text


def read_path(data: str) -> list[Command]:
    """The commands of a path, one entry for each repetition.

    Raises:
      ValueError: not path data.
    """
    commands: list[Command] = []
    at, letter = 0, ""
    while data[at:].strip(" \t\r\n,"):
        if match := _COMMAND.match(data, at):
            letter, at = match.group(1), match.end()
        elif not letter or letter in "Zz":
            raise ValueError(f"path data {data[:40]!r} is broken at character {at}")
        arguments = []
        for place in range(_ARGUMENTS[letter.lower()]):
            pattern = _FLAG if letter in "Aa" and place in (3, 4) else _NUMBER
            if not (match := pattern.match(data, at)):
                raise ValueError(f"path data {data[:40]!r} is broken at character {at}")
            arguments.append(float(match.group(1)))
            at = match.end()
        commands.append((letter, arguments))
        letter = {"M": "L", "m": "l"}.get(letter, letter)
    return commands


def write_path(commands: Sequence[Command], places: int = 3) -> str:
    """Path data, without a space too many."""
    text, last = "", ""
    for letter, arguments in commands:
        implied = letter == {"M": "L", "m": "l"}.get(last, last) and letter not in "Zz"
        text += "" if implied else letter
        for place, value in enumerate(arguments):
            written = number(value, places)
            glued = (place == 0 and not implied) or written.startswith("-")
            text += written if glued else f" {written}"
        last = letter
    return text


def transform_path(commands: Sequence[Command], matrix: Matrix) -> list[Command]:
    """Commands under a matrix that keeps axes on axes: moves, uniform scales, mirrors, quarter turns."""
    a, b, c, d, e, f = matrix
    straight = b == 0 and c == 0
    factor = abs(a) if straight else abs(b)
    flips = a * d - b * c < 0
    result: list[Command] = []
    for place, (letter, values) in enumerate(commands):
        kind = letter.lower()
        # The first moveto is absolute even when it is written small.
        offset = (e, f) if letter.isupper() or place == 0 else (0.0, 0.0)
        if kind == "z":
            result.append((letter, []))
        elif kind in "hv":
            x, y = (values[0], 0.0) if kind == "h" else (0.0, values[0])
            x, y = a * x + c * y + offset[0], b * x + d * y + offset[1]
            new = kind if straight else {"h": "v", "v": "h"}[kind]
            result.append((new.upper() if letter.isupper() else new, [x if new == "h" else y]))
        else:
            head: list[float] = []
            points = values
            if kind == "a":
                rotation = values[2] + (0 if straight else 90)
                head = [values[0] * factor, values[1] * factor, -rotation if flips else rotation, values[3]]
                head.append(1 - values[4] if flips else values[4])
                if values[0] == values[1]:
                    head[2] = values[2]
                points = values[5:]
            moved = list(head)
            for x, y in zip(points[::2], points[1::2], strict=True):
                moved += [a * x + c * y + offset[0], b * x + d * y + offset[1]]
            result.append((letter, moved))
    return result


def _curve(points: Sequence[Point]) -> list[Point]:
    """A Bezier curve at four points after its first."""
    result = []
    for t in (0.25, 0.5, 0.75, 1.0):
        level = list(points)
        while len(level) > 1:
            level = [
                (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])) for p, q in zip(level[:-1], level[1:], strict=True)
            ]
        result.append(level[0])
    return result


def _arc(start: Point, values: Sequence[float], end: Point) -> list[Point]:
    """An elliptical arc at eight points after its first: the centre form of the SVG specification, appendix B.2.4."""
    rx, ry, rotation, large, sweep = abs(values[0]), abs(values[1]), math.radians(values[2]), values[3], values[4]
    if not rx or not ry or start == end:
        return [end]
    cos, sin = math.cos(rotation), math.sin(rotation)
    dx, dy = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    x, y = cos * dx + sin * dy, cos * dy - sin * dx
    grow = math.sqrt(max(1.0, (x / rx) ** 2 + (y / ry) ** 2))
    rx, ry = rx * grow, ry * grow
    below = (rx * y) ** 2 + (ry * x) ** 2
    scale = math.sqrt(max(0.0, (rx * ry) ** 2 - below) / below) * (-1 if large == sweep else 1)
    cx, cy = scale * rx * y / ry, -scale * ry * x / rx
    first = math.atan2((y - cy) / ry, (x - cx) / rx)
    angle = (math.atan2((-y - cy) / ry, (-x - cx) / rx) - first) % math.tau
    if not sweep:
        angle -= math.tau
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    result = []
    for step in range(1, 8):
        at = first + angle * step / 8
        u, v = cx + rx * math.cos(at), cy + ry * math.sin(at)
        result.append((cos * u - sin * v + middle[0], sin * u + cos * v + middle[1]))
    return [*result, end]


def path_points(commands: Sequence[Command]) -> list[Point]:
    """Points along a path, close enough together to tell where it is and how large."""
    points: list[Point] = []
    here = start = control = (0.0, 0.0)
    before = ""
    for letter, values in commands:
        kind = letter.lower()
        origin = here if letter.islower() else (0.0, 0.0)
        if kind == "z":
            here = start
        elif kind == "h":
            here = (origin[0] + values[0], here[1])
        elif kind == "v":
            here = (here[0], origin[1] + values[0])
        else:
            tail = values[5:] if kind == "a" else values
            given = [(origin[0] + x, origin[1] + y) for x, y in zip(tail[::2], tail[1::2], strict=True)]
            end = given[-1]
            mirrored = (2 * here[0] - control[0], 2 * here[1] - control[1])
            if kind == "s":
                given.insert(0, mirrored if before in "cs" and before else here)
            elif kind == "t":
                given.insert(0, mirrored if before in "qt" and before else here)
            if kind in "csqt":
                points += _curve([here, *given])[:-1]
                control = given[-2]
            elif kind == "a":
                points += _arc(here, values, end)[:-1]
            here = end
            if kind == "m":
                start = here
        points.append(here)
        before = kind
    return points


def map_points(points: Sequence[Point], matrix: Matrix) -> list[Point]:
    """Points under a matrix."""
    a, b, c, d, e, f = matrix
    return [(a * x + c * y + e, b * x + d * y + f) for x, y in points]
