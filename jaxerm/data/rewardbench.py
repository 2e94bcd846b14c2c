"""VC-RewardBench's list of annotated pairs: JSON Lines that name two images and what people found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxerm.critique import SCHEMAS, Critique, CritiqueError, Task, parse_critique


@dataclass(frozen=True)
class BenchItem:
    """One annotated pair.

    Attributes:
      id: of the item.
      task: its ``category`` in the file.
      reference, prediction: paths of the images, opened only when they are looked at.
      truth: what people annotated; no locations, the format has none.
    """

    id: str
    task: Task
    reference: Path
    prediction: Path
    truth: Critique


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, object) for each line that is not blank; `where` names file and line for messages.

    Raises:
      ValueError: no such file, or a line that is no JSON object.
    """
    if not path.is_file():
        raise ValueError(f"{path} is a folder, not a file" if path.is_dir() else f"there is no file {path}")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise ValueError(f"{where}: not UTF-8: {error}") from None
            except json.JSONDecodeError as error:
                raise ValueError(f"{where}: not JSON: {error}") from None
            if not isinstance(value, dict):
                raise ValueError(f"{where}: a {type(value).__name__}, not an object")
            yield where, value


def errors_of(errors: Any, task: Task) -> Critique:
    """A list of annotated errors as a critique; `CritiqueError` if it does not follow the schema."""
    if not isinstance(errors, list):
        raise CritiqueError(f"the errors are {type(errors).__name__}, not a list")
    return parse_critique(json.dumps({"errors": errors}), task)


def read_rewardbench(path: str | Path) -> list[BenchItem]:
    """Reads the list; images are not opened. Image paths are relative to the file's folder.

    Raises:
      ValueError: no such file, or a line outside the format; the message names file and line.
    """
    path = Path(path)
    items = []
    for where, line in json_lines(path):
        task = line.get("category")
        if task not in SCHEMAS:
            raise ValueError(f"{where}: category is {task!r}; there are {', '.join(SCHEMAS)}")
        missing = [name for name in ("gt_img_path", "pred_img_path", "human_errors") if name not in line]
        if missing:
            raise ValueError(f"{where}: field {missing[0]!r} is missing")
        try:
            truth = errors_of(line["human_errors"], task)
        except CritiqueError as error:
            raise ValueError(f"{where}: {error}") from None
        name = str(line.get("id", line.get("idx", len(items))))
        images = (path.parent / str(line[key]) for key in ("gt_img_path", "pred_img_path"))
        items.append(BenchItem(name, task, *images, truth))
    if not items:
        raise ValueError(f"{path} holds no item")
    return items
