"""What is said to the models: text files, one a role and task, filled in and put beside the images.

A prompt set is a folder. ``full`` explains task and schema to a model that has never seen them; ``brief`` is a line,
for models trained on it (the tiny ones). A role's file is ``ROLE_TASK.txt``, or ``ROLE.txt`` when all tasks share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from jaxerm.critique import SCHEMAS, Critique, Task

SETS = ("brief", "full")


@cache
def _template(prompt_set: str, role: str, task: Task) -> Template:
    folder = files(__name__) / prompt_set
    for name in (f"{role}_{task}.txt", f"{role}.txt"):
        if (folder / name).is_file():
            return Template((folder / name).read_text(encoding="utf-8").strip())
    raise ValueError(f"prompt set {prompt_set!r} has no text for role {role!r}, task {task!r}")


def critique_lines(critique: Critique) -> str:
    """A critique as a reviser reads it: one line an error, category, severity, location and description."""
    lines = []
    for error in critique.errors:
        where = f" {error.location}" if error.location else ""
        lines.append(f"- {error.category} {error.severity}{where}: {error.description}")
    return "\n".join(lines) or "- no error"


def fenced(code: str, task: Task) -> str:
    """Code as an answer holds it: in a fenced block of its language."""
    if task == "table":
        language = "html" if "<table" in code.lower() else "markdown"
    else:
        language = {"chart": "python", "svg": "svg"}[task]
    return f"```{language}\n{code.strip()}\n```"


@dataclass(frozen=True)
class Prompts:
    """Builds the messages of every role from one prompt set.

    Args:
      name: ``brief`` or ``full``.
    """

    name: str = "full"

    def __post_init__(self):
        if self.name not in SETS:
            raise ValueError(f"unknown prompt set {self.name!r}; there are {', '.join(SETS)}")

    def _messages(self, role: str, task: Task, images: list[Any], **values: str) -> list[dict[str, Any]]:
        text = _template(self.name, role, task).substitute(values)
        content: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
        return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]

    def critique(self, task: Task, reference: Any, attempt: Any) -> list[dict[str, Any]]:
        """For the reward model: the reference is the first image, the rendered attempt the second."""
        schema = SCHEMAS[task]
        values = {"categories": ", ".join(schema.categories)} if self.name == "full" else {}
        return self._messages("critique", task, [reference, attempt], **values)

    def code(self, task: Task, image: Any) -> list[dict[str, Any]]:
        """For the policy: the code that draws this image."""
        return self._messages("code", task, [image])

    def revise(self, task: Task, image: Any, draft: str, critique: Critique) -> list[dict[str, Any]]:
        """For the policy: its own draft and what the reward model says of it."""
        return self._messages("revise", task, [image], draft=fenced(draft, task), critique=critique_lines(critique))

    def describe(self, task: Task, image: Any) -> list[dict[str, Any]]:
        """For a base model learning to see: the image in words."""
        return self._messages("describe", task, [image])

    def compare(self, task: Task, reference: Any, attempt: Any) -> list[dict[str, Any]]:
        """For a base model learning to see: what differs, in words, without category or severity."""
        return self._messages("compare", task, [reference, attempt])

    def compare_json(self, task: Task, reference: Any, attempt: Any) -> list[dict[str, Any]]:
        """For a base model learning to see: what differs, as JSON: kinds, places and words."""
        return self._messages("compare_json", task, [reference, attempt])

    def edit(self, task: Task, image: Any, draft: str, changes: str) -> list[dict[str, Any]]:
        """For a base model learning to write: a picture, code that should draw it, and what is wrong, in words."""
        return self._messages("edit", task, [image], draft=fenced(draft, task), changes=changes)
