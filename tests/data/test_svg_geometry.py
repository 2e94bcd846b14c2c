"""Paths and shapes of SVG: what is read is what is written, and geometry is where it is drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from jaxerm.data.sources import open_source
from jaxerm.data.svg_items import items, transform_shape
from jaxerm.data.svg_path import map_points, path_points, read_path, transform_path, write_path
from jaxerm.data.svg_tree import read_svg


def bounds(data):
    xs, ys = zip(*path_points(read_path(data)), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@pytest.mark.parametrize(
    "data, expected",
    [
        ("M2 3h4v5", (2, 3, 6, 8)),
        ("m2 3 4 5z", (2, 3, 6, 8)),
        ("M5 5l-2-2m1 1H9V0z", (3, 0, 9, 5)),
        ("M2 12a10 10 0 1 0 20 0", (2, 12, 22, 22)),
        ("M2 12a10 10 0 1 1 20 0", (2, 2, 22, 12)),
        ("M2 12A10 10 0 0122 12", (2, 2, 22, 12)),
        ("M0 0c0 4 8 4 8 0", (0, 0, 8, 3)),
        ("M0 0q4 8 8 0t8 0", (0, -4, 16, 4)),
    ],
)
def test_bounds_of_paths(data, expected):
    assert bounds(data) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("data", ["M1 2L", "5 5", "M1 2z3", "M1 2q1 1", "hello"])
def test_what_is_no_path_is_an_error(data):
    with pytest.raises(ValueError, match="path data"):
        read_path(data)


def test_written_paths_are_the_same_paths():
    icons = open_source("icons", max_code_chars=10**6)
    for index in range(300):
        for element in ElementTree.fromstring(icons[index].code):
            if data := element.get("d"):
                assert write_path(read_path(data), 9) == write_path(read_path(write_path(read_path(data), 9)), 9)
                assert read_path(write_path(read_path(data), 9)) == read_path(data)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, 1, 3, -2), (2, 0, 0, 2, 1, 1), (-1, 0, 0, 1, 24, 0), (1, 0, 0, -1, 0, 24), (0, 1, -1, 0, 24, 0)],
)
def test_a_transformed_shape_is_where_its_points_are(matrix):
    icons = open_source("icons", max_code_chars=10**6)
    for index in range(150):
        root = read_svg(icons[index].code)
        before = [map_points(item.points, matrix) for item in items(root)]
        for item in items(root):
            transform_shape(item.element, matrix)
        for item, points in zip(items(root), before, strict=True):
            for axis in (0, 1):
                now, then = ([point[axis] for point in p] for p in (item.points, points))
                assert (min(now), max(now)) == pytest.approx((min(then), max(then)), abs=0.02)


def test_transform_path_keeps_relative_commands_relative():
    moved = write_path(transform_path(read_path("M1 2l3 4h5H9"), (1, 0, 0, 1, 10, 10)))
    assert moved == "M11 12l3 4h5H19"


def test_items_see_groups_transforms_and_inheritance():
    code = """<svg viewBox="0 0 90 90"><defs><circle r="9"/></defs><g stroke="red" transform="translate(60 0)">
    <rect x="5" y="65" width="10" height="10" style="fill:blue"/></g></svg>"""
    (item,) = items(read_svg(code))
    assert item.bounds == (65, 65, 75, 75) and item.location == "bottom right"
    assert item.get("stroke", "none") == "red" and item.get("fill", "black") == "blue"
