"""A matplotlib program as its syntax tree shows it: which calls draw, with which lists; and how to change its text."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

Span = tuple[int, int]
"""Start and end of a node in the UTF-8 bytes of the code."""
Splice = tuple[Span, str]
"""What is written in place of a span."""

DRAWING = ("bar", "barh", "plot", "scatter", "pie", "hist")
_SETTERS = {
    "title": ("set_title", "title"), "x": ("set_xlabel", "xlabel"), "y": ("set_ylabel", "ylabel"),
    "legend": ("legend",), "grid": ("grid",), "xlim": ("set_xlim", "xlim"), "ylim": ("set_ylim", "ylim"),
    "xticks": ("set_xticks", "xticks"),
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
    """

    first: ast.List | None = None
    second: ast.List | None = None

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
      setters: title, x, y, legend, grid, xlim, ylim, xticks -> the last such call.
      axes: what methods are called on: the text before the dot.
      save: the statement that saves or shows the figure.
      place: which subplot this is a view of, such as ``left``; empty for a whole program.
      views: one for each subplot, with its own plots and setters; the program itself where there is only one.
      subplots: the statement that makes figure and axes, ``fig, ax = plt.subplots(...)``.
    """

    code: str
    plots: list[Plot] = field(default_factory=list)
    setters: dict[str, Call] = field(default_factory=dict)
    axes: str = ""
    save: ast.stmt | None = None
    place: str = ""
    views: list[PlotCode] = field(default_factory=list)
    subplots: ast.Assign | None = None

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

    def method(self, what: str) -> str:
        """The method that sets something, spelt as the thing it is called on has it: ``set_title`` of axes."""
        names = _SETTERS[what]
        return names[-1] if self.axes.split(".")[-1] == "plt" else names[0]

    @property
    def axes_object(self) -> str:
        """An expression that is the axes, for methods pyplot does not have."""
        return f"{self.axes}.gca()" if self.axes.split(".")[-1] == "plt" else self.axes


def constants(node: ast.List) -> list:
    """The constants of a list; a minus sign is part of its number."""
    return [ast.literal_eval(element) for element in node.elts]


def _constant_list(node: ast.expr | None, names: dict[str, ast.List]) -> ast.List | None:
    if isinstance(node, ast.Name):
        node = names.get(node.id)
    if not isinstance(node, ast.List) or not node.elts:
        return None
    try:
        values = constants(node)
    except ValueError:
        return None
    return node if all(isinstance(value, (int, float, str)) for value in values) else None


def read_plot_code(code: str) -> PlotCode:
    """Reads a program.

    Raises:
      ValueError: it is not Python, draws nothing known, or does not save or show its figure at the top level.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"not Python: {error}") from None
    result = PlotCode(code)
    owners: dict[str, PlotCode] = {}
    names: dict[str, ast.List] = {}
    bound: list[str] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = statement.value
                    bound.append(target.id)
        value = getattr(statement, "value", None)
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
            continue
        name = value.func.attr
        owner = ast.unparse(value.func.value)
        if name == "subplots" and isinstance(statement, ast.Assign):
            result.subplots = statement
        if name in DRAWING:
            plot = Plot(statement, value, name)
            plot.first, plot.second = _lists(plot, {key: node for key, node in names.items() if bound.count(key) == 1})
            result.axes = result.axes or owner
            for view in (result, owners.setdefault(owner, PlotCode(code, axes=owner))):
                view.plots.append(plot)
        elif name in ("savefig", "show") and result.plots and result.save is None:
            result.save = statement
        for what, methods in _SETTERS.items():
            if name in methods and isinstance(statement, ast.Expr):
                for view in (result, owners.setdefault(owner, PlotCode(code, axes=owner))):
                    view.setters[what] = Call(statement, value, name)
    if not result.plots or result.save is None:
        raise ValueError(f"the program has no {' or '.join(DRAWING)} call and savefig after it at its top level")
    views = [view for view in owners.values() if view.plots]
    for view, place in zip(views, _places(len(views), result.subplots), strict=True):
        view.save, view.place, view.subplots = result.save, place, result.subplots
    # Where everything is said to pyplot or to one pair of axes, there is nothing to tell apart.
    result.views = views if len(views) > 1 else [result]
    return result


def grid_of(statement: ast.Assign | None) -> tuple[int, int] | None:
    """Rows and columns of ``plt.subplots(2, 3)``; None where they are not written as numbers."""
    arguments = statement.value.args if statement is not None and isinstance(statement.value, ast.Call) else []
    numbers = [node.value for node in arguments if isinstance(node, ast.Constant) and isinstance(node.value, int)]
    return tuple(numbers) if len(numbers) == len(arguments) == 2 else None


def _places(n: int, statement: ast.Assign | None) -> list[str]:
    """What a reader calls the subplots, in order."""
    named = {
        (1, 2): ["left", "right"], (2, 1): ["top", "bottom"], (1, 3): ["left", "middle", "right"],
        (3, 1): ["top", "middle", "bottom"], (2, 2): ["top left", "top right", "bottom left", "bottom right"],
    }  # fmt: skip
    grid = grid_of(statement)
    if n == 1:
        return [""]
    if grid in named and len(named[grid]) == n:
        return named[grid]
    return [("first", "second", "third", "fourth")[number] if number < 4 else f"{number + 1}th" for number in range(n)]


def _lists(plot: Plot, names: dict[str, ast.List]) -> tuple[ast.List | None, ast.List | None]:
    arguments = plot.call.args
    keywords = plot.keywords
    if plot.name in ("pie", "hist"):
        labels = keywords["labels"].value if plot.name == "pie" and "labels" in keywords else None
        first, second = labels, arguments[0] if arguments else None
    else:
        first, second = (arguments[0], arguments[1]) if len(arguments) > 1 else (None, None)
    found = _constant_list(first, names), _constant_list(second, names)
    values = constants(found[1]) if found[1] is not None else []
    numeric = bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if not numeric or (found[0] is not None and len(found[0].elts) != len(values)):
        return None, None
    return found


def is_plain(code: str) -> bool:
    """Whether a program is nothing but lists, plots and settings on axes that fit the data: what it draws shows."""
    result = read_plot_code(code)
    known = {
        *DRAWING,
        "subplots",
        "figure",
        "savefig",
        "show",
        *(name for names in _SETTERS.values() for name in names),
    }
    for statement in ast.parse(code).body:
        value = getattr(statement, "value", None)
        call = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in known
        if not call and not isinstance(statement, ast.Import | ast.ImportFrom | ast.Assign):
            return False
    return not {"xlim", "ylim"} & set(result.setters)


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
