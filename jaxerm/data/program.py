"""A program that draws a picture, and what a corruption did to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxerm.critique import Critique, Discrepancy, Task
from jaxerm.data.picture import Picture


@dataclass(frozen=True)
class Program:
    """Code whose render is a reference picture.

    Attributes:
      task: the language and engine: chart, table or svg.
      code: what draws it.
      name: where it comes from.
      description: the picture in words; empty where there are none.
      picture: the picture itself where the source has it, which then need not be drawn; code may be empty.
      columns: the row it was read from, for rewards that look at more than the picture.
    """

    task: Task
    code: str
    name: str
    description: str
    picture: Picture | None = None
    columns: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Edit:
    """One entry of the ledger.

    Attributes:
      kind: what was done, such as ``recolour``.
      category, severity, location, description: as in `Discrepancy`.
    """

    kind: str
    category: str
    severity: int
    location: str | None
    description: str

    @property
    def discrepancy(self) -> Discrepancy:
        return Discrepancy(self.category, self.severity, self.description, self.location)


@dataclass(frozen=True)
class Corruption:
    """A program, the code after the edits, and their ledger.

    Attributes:
      program: the reference.
      code: with all edits.
      edits: the ledger.
      alone: for each edit the code with that edit only.
      sure: whether every edit is known to show, so that nobody has to look.
      without: for each edit the code with all the others, where one can hide another; else empty.
    """

    program: Program
    code: str
    edits: tuple[Edit, ...]
    alone: tuple[str, ...]
    sure: bool = False
    without: tuple[str, ...] = ()

    @property
    def critique(self) -> Critique:
        return Critique(self.program.task, tuple(edit.discrepancy for edit in self.edits))
