"""Reads a matplotlib program from its syntax tree."""

from __future__ import annotations

import ast

from jaxerm.data.corruption.plot_axes import Subplots
from jaxerm.data.corruption.plot_code import DRAWING, OF_ROWS, SETTERS, Call, Plot, PlotCode, constant_list, constants


def read_plot_code(code: str) -> PlotCode:
    """Reads a program.

    Raises:
      ValueError: it is not Python, draws nothing known, does not save or show its figure at the top level, makes
        several figures, or axes of which it cannot be told where they stand.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"not Python: {error}") from None
    result = PlotCode(code, simple=_is_simple(tree))
    where = Subplots(tree)
    owners: dict[str, PlotCode] = {}
    names: dict[str, ast.List] = {}
    bound: list[str] = []
    twin = ""
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
        if name == "twinx" and isinstance(statement, ast.Assign):
            twin = ast.unparse(statement.targets[0])
        if name in DRAWING:
            plot = Plot(statement, value, name)
            known = {key: node for key, node in names.items() if bound.count(key) == 1}
            plot.first, plot.second = _lists(plot, known)
            plot.base, plot.rows = _base(plot, known), _rows(plot)
            result.axes = result.axes or owner
            for view in (result, owners.setdefault(owner, PlotCode(code, axes=owner))):
                view.plots.append(plot)
        elif name in ("savefig", "show") and result.plots and result.save is None:
            result.save = statement
        for what, methods in SETTERS.items():
            if name in methods and isinstance(statement, ast.Expr):
                for view in (result, owners.setdefault(owner, PlotCode(code, axes=owner))):
                    view.setters[what] = Call(statement, value, name)
    if not result.plots or result.save is None:
        raise ValueError(f"the program has no {' or '.join(DRAWING)} call and savefig after it at its top level")
    views = [view for view in owners.values() if view.plots]
    twins = bool(twin) and len(views) == 2
    places = [""] * len(views) if twins else where.places([view.axes for view in views])
    for view, place in zip(views, places, strict=True):
        view.save, view.place, view.subplots = result.save, place, result.subplots
        if twins:
            view.twins, view.place = True, "right" if view.axes == twin else "left"
    # Where everything is said to pyplot or to one pair of axes, there is nothing to tell apart.
    result.views = views if len(views) > 1 or places[0] else [result]
    return result


def _base(plot: Plot, names: dict[str, ast.List]) -> list[float]:
    known = plot.keywords.get("bottom")
    node = constant_list(known.value, names) if known is not None else None
    base = constants(node) if node is not None else []
    return base if len(base) == len(plot.values) else []


def _rows(plot: Plot) -> list[ast.List]:
    first = plot.call.args[0] if plot.name in OF_ROWS and plot.call.args else None
    rows = [constant_list(node, {}) for node in first.elts] if isinstance(first, ast.List) else []
    return [] if None in rows else rows


def _lists(plot: Plot, names: dict[str, ast.List]) -> tuple[ast.List | None, ast.List | None]:
    arguments = plot.call.args
    keywords = plot.keywords
    if plot.name in OF_ROWS:
        return None, None
    if plot.name in ("pie", "hist"):
        labels = keywords["labels"].value if plot.name == "pie" and "labels" in keywords else None
        first, second = labels, arguments[0] if arguments else None
    elif plot.name == "scatter" and len(arguments) == 3:
        first, second = arguments[0], arguments[2]  # in space
    else:
        first, second = (arguments[0], arguments[1]) if len(arguments) > 1 else (None, None)
    found = constant_list(first, names), constant_list(second, names)
    values = constants(found[1]) if found[1] is not None else []
    numeric = bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if not numeric or (found[0] is not None and len(found[0].elts) != len(values)):
        return None, None
    return found


def is_plain(code: str) -> bool:
    """Whether a program is only lists, plots and settings on flat axes that fit the data: what it draws shows."""
    result = read_plot_code(code)
    if not result.simple or result.projection or any(plot.rows for plot in result.plots):
        return False
    if any("xlim" in view.setters and view.plots[0].name != "barh" for view in result.views):
        return False
    return all(view.inside(plot.reach) for view in result.views for plot in view.plots)


def _is_simple(tree: ast.Module) -> bool:
    """Whether a program is only imports, names for things, plots and settings."""
    known = {"subplots", "figure", "savefig", "show", "twinx", "tight_layout", *DRAWING}
    known.update(name for names in SETTERS.values() for name in names)
    for statement in tree.body:
        value = getattr(statement, "value", None)
        call = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in known
        made = isinstance(statement, ast.Assign) and (call or not isinstance(value, ast.Call))
        if not (call or made or isinstance(statement, ast.Import | ast.ImportFrom)):
            return False
    return True
