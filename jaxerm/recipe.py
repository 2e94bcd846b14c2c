"""Reading and writing recipes: YAML files with `key=value` overrides, and errors that say where and what instead."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from jaxerm.recipe_schema import (
    KINDS,
    Common,
    GrpoData,
    GrpoRecipe,
    Mix,
    Optimizer,
    PromptMix,
    Recipe,
    Reward,
    SftData,
    SftRecipe,
)

__all__ = [
    "Common", "GrpoData", "GrpoRecipe", "Mix", "Optimizer", "PromptMix", "Recipe", "RecipeError", "Reward", "SftData",
    "SftRecipe", "load_recipe", "recipe_names", "recipe_to_yaml",
]  # fmt: skip

Where = tuple[str | int, ...]
"""Path of a value inside a recipe: ``("data", "mixture", 0, "weight")``."""


class RecipeError(ValueError):
    """A recipe that cannot be used. The message is one line, fit for a user."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads 1e-5 as a number, as everyone but YAML 1.1 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)


def _dotted(where: Where) -> str:
    return ".".join(map(str, where))


def _folders() -> list[Path]:
    """Where a bare recipe name is looked up: ./configs, then the configs of this checkout."""
    return [Path("configs"), Path(__file__).resolve().parent.parent / "configs"]


def recipe_names() -> list[str]:
    """Names that `load_recipe` takes without a folder."""
    return sorted({file.stem for folder in _folders() for file in folder.glob("*.yaml")})


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise RecipeError(f"{path} is a folder; a recipe is a .yaml file in it, or one of: {', '.join(recipe_names())}")
    if len(path.parts) == 1:
        for folder in _folders():
            file = folder / (path.name if path.suffix in (".yaml", ".yml") else f"{path.name}.yaml")
            if file.is_file():
                return file
    near = difflib.get_close_matches(path.stem, recipe_names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(recipe_names()) or 'none'}"
    raise RecipeError(f"no recipe {str(name)!r}; {hint}")


def _construct(node: yaml.Node, loader: _Loader, where: Where, lines: dict[Where, int], file: str) -> Any:
    """Turns a YAML node into plain values; fills `lines` with the line of each; refuses a key said twice."""
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise RecipeError(f"{file}:{key_node.start_mark.line + 1}: {key!r} is not a name; put it in quotes")
            if key in values:
                raise RecipeError(f"{file}:{key_node.start_mark.line + 1}: {key!r} is said twice")
            values[key] = _construct(value_node, loader, (*where, key), lines, file)
            lines[(*where, key)] = key_node.start_mark.line + 1
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, loader, (*where, i), lines, file) for i, child in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def _parse(text: str, file: str) -> tuple[Any, dict[Where, int]]:
    """Reads YAML; returns the values and, for each path in them, its line."""
    lines: dict[Where, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return (None if node is None else _construct(node, loader, (), lines, file)), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{file}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{file}: not valid YAML: {str(error).splitlines()[0]}") from None


def _override(values: dict[str, Any], text: str) -> Where:
    """Applies one ``dotted.key=value`` to `values` in place; returns the path it set."""
    key, equals, raw = text.partition("=")
    parts: Where = tuple(int(part) if part.isdigit() else part for part in key.strip().split("."))
    if not equals or "" in parts:
        raise RecipeError(f"override {text!r}: write it as key=value, or part.key=value")
    value, _ = _parse(raw, f"override {text!r}")
    place: Any = values
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(place, list) and (not isinstance(part, int) or part >= len(place)):
            raise RecipeError(f"override {text!r}: {_dotted(parts[:depth])} has parts 0 to {len(place) - 1}")
        if not isinstance(place, (dict, list)):
            raise RecipeError(f"override {text!r}: {_dotted(parts[:depth])} is {place!r} and has no parts")
        if last:
            place[part] = value
        elif isinstance(place, dict):
            # A part left empty in the file reads as null: an override may still fill it.
            place[part] = {} if place.get(part) is None else place[part]
        place = place[part]
    return parts


def _section(model: type[BaseModel], where: Where) -> type[BaseModel] | None:
    """The class that declares the keys at `where` inside `model`, if any."""
    current: Any = model
    for part in where:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        if field is None:
            return None
        current = field.annotation
        while get_args(current):
            inner = [arg for arg in get_args(current) if isinstance(arg, type) and issubclass(arg, BaseModel)]
            current = inner[0] if inner else get_args(current)[0]
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _all_keys(model: type[BaseModel], where: Where = ()) -> list[str]:
    """Every dotted key of a recipe class."""
    keys = []
    for name in model.model_fields:
        keys.append(_dotted((*where, name)))
        inner = _section(model, (name,))
        if inner:
            keys += [f"{name}.{key}" for key in _all_keys(inner)]
    return keys


def _unknown(model: type[BaseModel], where: Where) -> str:
    """``unknown key 'x'`` with the nearest key of the same part, or the same key in another part, or all there are."""
    key, part = str(where[-1]), _section(model, where[:-1])
    known = list(part.model_fields) if part else []
    name = _dotted(where)
    leaves = {dotted.rsplit(".", 1)[-1]: dotted for dotted in reversed(_all_keys(model))}
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    # The very word in another part is a better guess than its like in this one.
    if near and key not in leaves:
        return f"unknown key {name!r}; did you mean {_dotted((*where[:-1], near[0]))!r}?"
    near = difflib.get_close_matches(key, leaves, n=1, cutoff=0.75)
    if near:
        return f"unknown key {name!r}; did you mean {leaves[near[0]]!r}?"
    return f"unknown key {name!r}; the keys here are {', '.join(known)}"


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "dict": "`key: value` lines",
    "model": "`key: value` lines",
}


def _describe(error: Any, model: type[BaseModel]) -> tuple[Where, str]:
    """Path and one-line message of one pydantic error."""
    where: Where = tuple(part for part in error["loc"] if part != "[key]")
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    name = _dotted(where) or "the recipe"
    if kind == "extra_forbidden":
        return where, _unknown(model, where)
    if kind == "missing":
        return where[:-1], f"{name!r} is missing"
    if kind == "value_error":
        return where, f"{name}: {context['error']}"
    if error["loc"] and error["loc"][-1] == "[key]":
        return where, f"{name}: unknown name; expected {context.get('expected')}"
    bounds = {"greater_than": "> {gt:g}", "greater_than_equal": ">= {ge:g}", "less_than_equal": "<= {le:g}"}
    if kind in bounds:
        expected = f"a number {bounds[kind].format(**context)}"
    elif kind == "literal_error":
        expected = context["expected"]
    elif kind == "too_short":
        expected = f"at least {context['min_length']} entry"
    else:
        expected = next((text for start, text in _EXPECTED.items() if kind.startswith(start)), error["msg"])
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return where, f"{name} is {shown}; expected {expected}"


def load_recipe(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
      path: a YAML file, or the bare name of one in ``configs/`` (``tiny_erm_sft``).
      overrides: ``key=value`` texts applied in order, dotted for nested keys (``optimizer.lr=1e-4``,
        ``data.mixture.0.weight=2``); values are read as YAML.

    Raises:
      RecipeError: the file is missing or broken, a key is unknown (its nearest neighbour is named) or missing, or a
        value is of the wrong type or out of range. One line, with file and line or the override at fault.
    """
    file = _find(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        ) from None
    values, lines = _parse(text, str(file))
    if not isinstance(values, dict):
        raise RecipeError(f"{file}: {'it is empty' if values is None else 'a recipe is made of `key: value` lines'}")
    set_by = {_override(values, override): override for override in overrides}
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecipeError(f"{file}:{lines.get(('kind',), 1)}: kind is {kind!r}; expected {' or '.join(KINDS)}")
    try:
        return KINDS[kind].model_validate(values)  # type: ignore[return-value]
    except ValidationError as failure:
        # A misspelt key is also a missing one: the misspelling is the better message.
        errors = sorted(failure.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden")
        where, message = _describe(errors[0], KINDS[kind])
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise RecipeError(f"{_origin(where, file, lines, set_by)}: {message}{more}") from None


def _origin(where: Where, file: Path, lines: dict[Where, int], set_by: dict[Where, str]) -> str:
    """Who said the value at `where`: an override, or a line of the file."""
    for depth in range(len(where), 0, -1):
        if where[:depth] in set_by:
            return f"override {set_by[where[:depth]]!r}"
        if where[:depth] in lines:
            return f"{file}:{lines[where[:depth]]}"
    within = [override for path, override in set_by.items() if where and path[: len(where)] == where]
    return f"override {within[-1]!r}" if within else str(file)


def recipe_to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, `kind` first: what a run folder keeps. `load_recipe` reads it back equal."""
    values = recipe.model_dump()
    return yaml.safe_dump({"kind": values.pop("kind"), **values}, sort_keys=False, allow_unicode=True)
