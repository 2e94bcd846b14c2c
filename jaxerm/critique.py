"""The words every room shares: a task, a discrepancy, a critique, and the JSON a reward model writes. Pure Python."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

Task = Literal["chart", "table", "svg"]
TASKS: tuple[Task, ...] = get_args(Task)

SEVERITIES = (1, 2, 3)
"""1 minor (barely affects reading), 2 medium (needs correction for reliable use), 3 severe (structure, key content)."""


class CritiqueError(ValueError):
    """A text that should hold a critique does not."""


@dataclass(frozen=True, slots=True)
class Schema:
    """How one task writes its critiques, as the released Visual-ERM checkpoint does.

    Attributes:
      categories: names of the categories, in the order of the count keys.
      key: JSON key of the category in an error: ``category`` or, for tables, ``type``.
      has_location: whether an error says where it is.
      also_read: categories accepted from a model and never written by us.
    """

    categories: tuple[str, ...]
    key: str
    has_location: bool
    also_read: tuple[str, ...] = ()


SCHEMAS: dict[Task, Schema] = {
    "chart": Schema(("structure_error", "data_error", "text_error", "style_error"), "category", True),
    "table": Schema(("layout_error", "text_error", "numeric_error"), "type", False),
    # The paper's SVG prompt also lists other_error; the reference repository dropped it.
    "svg": Schema(
        ("structure_error", "shape_error", "style_error", "text_symbol_error"), "category", True, ("other_error",)
    ),
}


def check_task(task: str) -> Task:
    """Returns `task` unchanged, or raises ValueError naming the tasks there are."""
    if task not in SCHEMAS:
        raise ValueError(f"unknown task {task!r}; the tasks are {', '.join(TASKS)}")
    return task  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference between the reference image and the rendered attempt.

    Attributes:
      category: one of ``SCHEMAS[task].categories``.
      severity: 1, 2 or 3.
      description: what differs, in words.
      location: where, as a reader would say it; None for tables, whose schema has no location.
    """

    category: str
    severity: int
    description: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Critique:
    """All discrepancies of one pair; an empty list means that the two images mean the same."""

    task: Task
    errors: tuple[Discrepancy, ...] = ()

    @property
    def severity(self) -> int:
        """S, the sum of the severities: what eq. 3 of Visual-ERM turns into a reward."""
        return sum(error.severity for error in self.errors)

    @property
    def counts(self) -> dict[str, int]:
        """Number of errors of each category, in the order of the schema."""
        categories = [error.category for error in self.errors]
        return {name: categories.count(name) for name in SCHEMAS[self.task].categories}

    def to_dict(self) -> dict[str, Any]:
        """The JSON object: the count keys first, then ``errors``."""
        schema = SCHEMAS[self.task]
        errors = []
        for error in self.errors:
            entry: dict[str, Any] = {schema.key: error.category, "severity": error.severity}
            if schema.has_location:
                entry["location"] = error.location or ""
            entry["description"] = error.description
            errors.append(entry)
        return {**{f"{name}_count": n for name, n in self.counts.items()}, "errors": errors}

    def to_json(self) -> str:
        """Compact JSON, the form the reward model is trained to write."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, task: Task) -> Critique:
        """Reads what a model wrote: see `parse_critique`."""
        return parse_critique(text, task)


_THINK = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)


def _json_objects(text: str):
    """Yields every outermost JSON object in `text`, in order."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def _read_error(entry: Any, task: Task, position: int) -> Discrepancy:
    where = f"error {position} of the critique"
    if not isinstance(entry, dict):
        raise CritiqueError(f"{where} is {type(entry).__name__}, not an object")
    schema = SCHEMAS[task]
    category = entry.get("category", entry.get("type"))
    if not isinstance(category, str):
        raise CritiqueError(f"{where} has neither `category` nor `type`")
    category = category.strip().lower().replace("-", "_").replace(" ", "_")
    if not category.endswith("_error"):
        category += "_error"
    if category not in schema.categories + schema.also_read:
        raise CritiqueError(
            f"{where} has category {category!r}; for {task} it is one of {', '.join(schema.categories)}"
        )
    severity = entry.get("severity")
    if isinstance(severity, str) and severity.strip().isdigit():
        severity = int(severity)
    if isinstance(severity, bool) or not isinstance(severity, (int, float)) or severity not in SEVERITIES:
        raise CritiqueError(f"{where} has severity {severity!r}; it is 1, 2 or 3")
    location = entry.get("location")
    return Discrepancy(
        category=category,
        severity=int(severity),
        description=str(entry.get("description", "")),
        location=str(location or "") if schema.has_location else None,
    )


def parse_critique(text: str, task: Task) -> Critique:
    """Reads a critique from the text of a model.

    Accepts a ``<think>`` block before it, a ```` ```json ```` fence and prose around it, and `type` or `category` for
    any task. The list is what counts: the count keys are recomputed from it.

    Raises:
      CritiqueError: no JSON object with an ``errors`` list, or an entry outside the schema.
    """
    check_task(task)
    for value in _json_objects(_THINK.sub("", text)):
        errors = value.get("errors")
        if isinstance(errors, list):
            return Critique(task, tuple(_read_error(entry, task, i) for i, entry in enumerate(errors, start=1)))
    shown = text if len(text) <= 80 else text[:77] + "..."
    raise CritiqueError(f"no JSON object with an `errors` list in {shown!r}")
