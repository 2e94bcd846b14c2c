"""What is known of a matplotlib program: which calls draw, with which lists, where they stand; and new text for it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

Span = tuple[int, int]
"""Start and end of a node in the UTF-8 bytes of the code."""
Splice = tuple[Span, str]
"""What is written in place of a span."""

DRAWING = (
    "bar", "barh", "plot", "scatter", "pie", "hist", "step", "fill_between", "errorbar", "boxplot", "violinplot",
    "imshow", "contour", "contourf",
)  # fmt: skip
OF_ROWS = ("boxplot", "violinplot", "imshow", "contour", "contourf")
"""Those that draw a list of lists."""
SETTERS = {
    "title": ("set_title", "title"), "x": ("set_xlabel", "xlabel"), "y": ("set_ylabel", "ylabel"),
    "legend": ("legend",), "grid": ("grid",), "xlim": ("set_xlim", "xlim"), "ylim": ("set_ylim", "ylim"),
    "xticks": ("set_xticks", "xticks"), "z": ("set_zlabel",), "yticks": ("set_yticks", "yticks"),
    "yscale": ("set_yscale", "yscale"), "annotation": ("annotate",), "colorbar": ("colorbar",),
}  # fmt: skip


@dataclass
class Call:
    """One call of a method: the statement it stands in, and the call itself."""

    statement: ast.stmt
    call: ast.Call
    name: str

    @property
    def keywords(self) -> dict[str, ast.keyword]:
        """Its keyword arguments by name."""
        return {keyword.arg: keyword for keyword in self.call.keywords if keyword.arg}

    def text(self) -> str | None:
        """The string that is its first argument."""
        first = self.call.args[0] if self.call.args else None
        return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


@dataclass
class Plot(Call):
    """A call that draws data. Its lists are None where they are not written out as lists of constants.

    Attributes:
      first, second: the lists of places or names, and of values; a histogram has only the second.
      base: what each bar stands on; empty for zero.
      rows: of a heat map or contour plot; of a box or violin plot the values of each box.
    """

    first: ast.List | None = None
    second: ast.List | None = None
    base: list[float] = field(default_factory=list)
    rows: list[ast.List] = field(default_factory=list)

    def listed(self, keyword: str) -> ast.List | None:
        """A list of constants that is written in a keyword, such as the sizes of bubbles."""
        known = self.keywords.get(keyword)
        return constant_list(known.value, {}) if known is not None else None

    @property
    def reach(self) -> list[float]:
        """Where on the axis of the values each point ends: with what it stands on, its error bar at both ends."""
        values = [value + low for value, low in zip(self.values, self.base or [0] * len(self.values), strict=True)]
        errors = self.listed("yerr")
        if errors is None:
            return values
        around = list(zip(values, constants(errors), strict=False))
        return [value + error for value, error in around] + [value - error for value, error in around]

    @property
    def values(self) -> list[float]:
        """The numbers that are drawn; empty where they are not written out."""
        return constants(self.second) if self.second is not None else []

    @property
    def labels(self) -> list[str]:
        """What the points are called by a reader: names or places along the axis; empty where there are none."""
        if self.first is None:
            return []
        return [value if isinstance(value, str) else f"{value:g}" for value in constants(self.first)]


@dataclass
class PlotCode:
    """What can be told of a program.

    Attributes:
      code: its text.
      plots: calls that draw, in order.
      setters: title, x, y, legend, grid, xlim, ylim, xticks, ... -> the last such call.
      axes: what methods are called on: the text before the dot.
      save: the statement that saves or shows the figure.
      place: which subplot this is a view of, such as ``left``; empty for a whole program.
      views: one for each subplot, with its own plots and setters; the program itself where there is only one.
      subplots: the statement that makes figure and axes, ``fig, ax = plt.subplots(...)``.
      twins: whether it is one of two pairs of axes that share a place; `place` is then the side of its y-axis.
      simple: whether the program does nothing else than lists, plots and settings: its subplots can be moved about.
    """

    code: str
    plots: list[Plot] = field(default_factory=list)
    setters: dict[str, Call] = field(default_factory=dict)
    axes: str = ""
    save: ast.stmt | None = None
    place: str = ""
    views: list[PlotCode] = field(default_factory=list)
    subplots: ast.Assign | None = None
    twins: bool = False
    simple: bool = False

    def __post_init__(self) -> None:
        data = self.code.encode()
        starts = [0]
        for line in data.split(b"\n"):
            starts.append(starts[-1] + len(line) + 1)
        self._starts = starts

    def span(self, node: ast.AST) -> Span:
        """Where a node stands."""
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def line_span(self, statement: ast.stmt) -> Span:
        """All the lines of a statement, with the break after them."""
        return self._starts[statement.lineno - 1], min(self._starts[statement.end_lineno], len(self.code.encode()))

    def before_saving(self, line: str) -> Splice:
        """Puts a statement in front of the one that saves."""
        start, _ = self.line_span(self.save)
        return (start, start), f"{line}\n"

    @property
    def projection(self) -> str:
        """``polar``, ``3d``, or empty for axes at right angles."""
        call = self.subplots.value if self.subplots is not None else None
        known = next((keyword.value for keyword in getattr(call, "keywords", ()) if keyword.arg == "subplot_kw"), None)
        try:
            return ast.literal_eval(known).get("projection", "") if known is not None else ""
        except (ValueError, AttributeError):
            return "unknown"

    def limits(self, axis: str) -> tuple[float, float] | None:
        """Those the code sets; None where the axis fits its data, (nan, nan) where they cannot be read."""
        if f"{axis}lim" not in self.setters:
            return None
        arguments = self.setters[f"{axis}lim"].call.args
        try:
            low, high = (float(ast.literal_eval(node)) for node in arguments)
        except (ValueError, TypeError):
            return float("nan"), float("nan")
        return low, high

    def can_tell(self, one: float, two: float) -> bool:
        """Whether a reader sees two values apart: by a twentieth of the axis, where the code sets its limits."""
        ends = self.limits("x" if self.plots[0].name == "barh" else "y")
        return ends is None or not abs(one - two) < 0.05 * abs(ends[1] - ends[0])

    def inside(self, values: Iterable[float]) -> bool:
        """Whether values can be seen: within the limits that the code sets, if it does."""
        ends = self.limits("x" if self.plots[0].name == "barh" else "y")
        return ends is None or all(ends[0] <= value <= ends[1] for value in values)

    def located(self, where: str) -> str:
        """A place in this view, as a reader of the whole figure would say it."""
        if not self.place or (self.twins and where in ("title", "x-axis label", "x-axis")):
            return where
        return f"{where} on the {self.place} axis" if self.twins else f"{where} of the {self.place} subplot"

    def method(self, what: str) -> str:
        """The method that sets something, spelt as the thing it is called on has it: ``set_title`` of axes."""
        names = SETTERS[what]
        return names[-1] if self.axes.split(".")[-1] == "plt" else names[0]

    @property
    def axes_object(self) -> str:
        """An expression that is the axes, for methods pyplot does not have."""
        return f"{self.axes}.gca()" if self.axes.split(".")[-1] == "plt" else self.axes


def constants(node: ast.List) -> list:
    """The constants of a list; a minus sign is part of its number."""
    return [ast.literal_eval(element) for element in node.elts]


def constant_list(node: ast.expr | None, names: dict[str, ast.List]) -> ast.List | None:
    """A list of constants, itself or by the name it was given; None if it is none."""
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Subscript):
        # The way back to the first point of a radar chart: values + values[:1].
        node = node.left if ast.unparse(node.right) == f"{ast.unparse(node.left)}[:1]" else None
    if isinstance(node, ast.Name):
        node = names.get(node.id)
    if not isinstance(node, ast.List) or not node.elts:
        return None
    try:
        values = constants(node)
    except ValueError:
        return None
    return node if all(isinstance(value, (int, float, str)) for value in values) else None


def spliced(code: str, splices: Iterable[Splice]) -> str:
    """The code with spans replaced; those that start at one place are written in the order given.

    Raises:
      ValueError: two spans overlap.
    """
    data = code.encode()
    parts: list[bytes] = []
    done = 0
    for (start, end), text in sorted(splices, key=lambda splice: splice[0]):
        if start < done:
            raise ValueError("two changes of the code overlap")
        parts += [data[done:start], text.encode()]
        done = end
    return b"".join([*parts, data[done:]]).decode()
