"""Where the axes of a matplotlib program stand in its figure, as far as its code says."""

from __future__ import annotations

import ast
from collections.abc import Sequence

Grid = tuple[int, int]
_NAMED = {
    (1, 1): [""], (1, 2): ["left", "right"], (2, 1): ["top", "bottom"], (1, 3): ["left", "middle", "right"],
    (3, 1): ["top", "middle", "bottom"], (2, 2): ["top left", "top right", "bottom left", "bottom right"],
}  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth")
_AXES = ("subplot", "add_subplot", "add_axes", "axes", "inset_axes", "subplot2grid", "subplot_mosaic", "subfigures")


def grid_of(statement: ast.Assign | None) -> Grid | None:
    """Rows and columns of ``plt.subplots(2, 3)``; None where they are not written as numbers."""
    if statement is None or not isinstance(statement.value, ast.Call):
        return None
    given = {"nrows": 1, "ncols": 1}
    known = {keyword.arg: keyword.value for keyword in statement.value.keywords if keyword.arg in given}
    for name, node in [*zip(given, statement.value.args, strict=False), *known.items()]:
        given[name] = getattr(node, "value", None)
    numbers = tuple(given.values())
    return numbers if all(isinstance(number, int) for number in numbers) else None


class Subplots:
    """The axes of a program.

    Args:
      tree: of the program.

    Raises:
      ValueError: it makes several figures, one of which is drawn.
    """

    def __init__(self, tree: ast.Module):
        self._where: dict[str, tuple[Grid, int]] = {}
        self._arrays: dict[str, Grid] = {}
        self._made = figures = 0
        for statement in tree.body:
            value = getattr(statement, "value", None)
            if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
                continue
            name, targets = value.func.attr, getattr(statement, "targets", [None])
            figures += name in ("figure", "subplots") and ast.unparse(value.func.value).split(".")[-1] in (
                "plt",
                "pyplot",
            )
            self._made += name in _AXES
            if name == "subplots" and isinstance(statement, ast.Assign):
                self._read(statement)
            elif name in ("add_subplot", "subplot") and isinstance(targets[0], ast.Name):
                self._add(targets[0].id, [getattr(node, "value", None) for node in value.args])
        if figures > 1:
            raise ValueError(f"the program makes {figures} figures, and only one of them is drawn")

    def _read(self, statement: ast.Assign) -> None:
        """``fig, ax = plt.subplots(...)``, or with a tuple of names or of rows of them."""
        grid, target = grid_of(statement), statement.targets[0]
        if isinstance(target, ast.Tuple) and len(target.elts) == 2 and statement.value.func.attr == "subplots":
            target = target.elts[1]
        if grid is None:
            return
        if isinstance(target, ast.Name):
            self._arrays[target.id] = grid
            if grid == (1, 1):
                self._where[target.id] = grid, 0
        else:
            names = [node for node in ast.walk(target) if isinstance(node, ast.Name)]
            names.sort(key=lambda node: (node.lineno, node.col_offset))
            self._where.update((node.id, (grid, place)) for place, node in enumerate(names))

    def _add(self, name: str, numbers: list) -> None:
        """``fig.add_subplot(2, 1, 1)`` or ``fig.add_subplot(211)``."""
        if len(numbers) == 1 and isinstance(numbers[0], int) and 111 <= numbers[0] <= 999:
            numbers = [int(digit) for digit in str(numbers[0])]
        if not numbers:
            numbers = [1, 1, 1]
        if len(numbers) == 3 and all(isinstance(number, int) for number in numbers):
            self._where[name] = (numbers[0], numbers[1]), numbers[2] - 1

    def _find(self, axes: str) -> tuple[Grid, int] | None:
        """Grid and place, by rows, of ``ax``, ``axs[2]``, ``axs[0, 1]`` or ``axs[0][1]``."""
        if axes in self._where:
            return self._where[axes]
        head, _, rest = axes.partition("[")
        grid = self._arrays.get(head)
        try:
            found = [int(number) for number in rest.rstrip("]").replace("][", ",").split(",")]
        except ValueError:
            return None
        if grid is None or len(found) != 1 + (min(grid) > 1):
            return None
        return grid, found[0] if len(found) == 1 else found[0] * grid[1] + found[1]

    def places(self, names: Sequence[str]) -> list[str]:
        """What a reader calls the axes of these names, such as ``left``; empty where there is one pair of axes.

        Raises:
          ValueError: there are several, and it cannot be told where they stand.
        """
        found = [self._find(name) for name in names]
        if len(names) == 1 and found[0] is None and self._made < 2 and "[" not in names[0]:
            return [""]
        if None in found or len({grid for grid, _ in found}) > 1:
            raise ValueError("the program has several pairs of axes, and it cannot be told where each of them stands")
        (rows, columns), _ = found[0]
        if any(not 0 <= place < rows * columns for _, place in found):
            raise ValueError(f"the program names axes outside of its {rows} x {columns} subplots")
        ordinals = [_ORDINALS[place] if place < 4 else f"{place + 1}th" for place in range(rows * columns)]
        words = _NAMED.get((rows, columns), ordinals)
        return [words[place] for _, place in found]
