"""From programs and pairs to what a model is trained on: messages and the answer to them, one function a role."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxerm.critique import Critique
from jaxerm.data.pairs import Pair
from jaxerm.data.program import Edit, Program
from jaxerm.prompts import Prompts, fenced

Role = Literal["describe", "code", "compare", "compare_json", "edit", "critique", "revise"]


@dataclass(frozen=True)
class Example:
    """One turn: chat messages (with images) and the answer the loss is taken on."""

    messages: list[dict[str, Any]]
    answer: str


def difference_lines(critique: Critique) -> str:
    """The differences in words alone, one a line: what a model says that knows no categories or severities."""
    lines = [
        f"{error.location}: {error.description}" if error.location else error.description for error in critique.errors
    ]
    return "\n".join(lines) or "no difference"


def difference_json(edits: Sequence[Edit]) -> str:
    """The same as a JSON object, kind before place before words: JSON, and saying first what sort of thing is wrong,
    are what a schema of critiques builds on."""
    entries = []
    for edit in edits:
        where = {"location": edit.location} if edit.location else {}
        entries.append({"kind": edit.kind, **where, "description": edit.description})
    return json.dumps({"count": len(entries), "differences": entries}, ensure_ascii=False, separators=(",", ":"))


def picture_example(role: Role, program: Program, image: Any, prompts: Prompts) -> Example:
    """``describe`` (picture -> words) or ``code`` (picture -> code)."""
    if role == "describe":
        return Example(prompts.describe(program.task, image), program.description)
    return Example(prompts.code(program.task, image), fenced(program.code, program.task))


def pair_example(role: Role, pair: Pair, prompts: Prompts) -> Example:
    """``critique`` and comparing look at both images, ``revise`` and ``edit`` at the reference and broken code.

    The corruption's ledger is the answer of the first and the instruction of the others, for ``revise`` as a critique,
    for ``edit`` in words: the code it started from is what they should come back to.
    """
    task = pair.task
    if role == "critique":
        return Example(prompts.critique(task, pair.reference, pair.prediction), pair.critique.to_json())
    if role == "compare":
        return Example(prompts.compare(task, pair.reference, pair.prediction), difference_lines(pair.critique))
    if role == "compare_json":
        return Example(prompts.compare_json(task, pair.reference, pair.prediction), difference_json(pair.edits))
    repaired = fenced(pair.reference_code, task)
    if role == "revise":
        return Example(prompts.revise(task, pair.reference, pair.prediction_code, pair.critique), repaired)
    changes = difference_lines(pair.critique)
    return Example(prompts.edit(task, pair.reference, pair.prediction_code, changes), repaired)
