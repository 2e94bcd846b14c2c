"""Pairs on disk: a folder of images and a list, in the fields of VC-RewardBench and a few more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxerm.critique import SCHEMAS, SEVERITIES, Critique
from jaxerm.data.pairs import Pair
from jaxerm.data.program import Edit
from jaxerm.data.visible import Box

LIST = "pairs.jsonl"
_FIELDS = {
    "id": str, "category": str, "gt_img_path": str, "pred_img_path": str, "human_errors": list, "edits": list,
    "reference_code": str, "prediction_code": str,
}  # fmt: skip


def write_pairs(pairs: Iterable[Pair], out: str | Path) -> Path:
    """Writes pairs as they come and returns the list, ``pairs.jsonl``; what was in that list before is replaced.

    A line holds ``id``, ``idx``, ``category`` (the task), ``gt_img_path`` and ``pred_img_path`` relative to the folder,
    ``human_errors`` (type, severity, description), and what only this project reads: ``edits`` (kind, category,
    severity, location, description), ``boxes`` (left, top, right, bottom in the reference's pixels, for each edit or
    for none), ``reference_code`` and ``prediction_code``.

    Raises:
      OSError: the folder cannot be written to.
    """
    out = Path(out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    with (out / LIST).open("w", encoding="utf-8") as file:
        for index, pair in enumerate(pairs):
            names = [f"images/{index:06d}_{side}.png" for side in ("gt", "pred")]
            for name, image in zip(names, (pair.reference, pair.prediction), strict=True):
                Image.fromarray(image).save(out / name)
            line = {
                "id": pair.id,
                "idx": index,
                "category": pair.task,
                "gt_img_path": names[0],
                "pred_img_path": names[1],
                "human_errors": [
                    {"type": edit.category, "severity": edit.severity, "description": edit.description}
                    for edit in pair.edits
                ],
                "edits": [{name: getattr(edit, name) for name in Edit.__dataclass_fields__} for edit in pair.edits],
                "boxes": [None if box is None else list(box) for box in pair.boxes],
                "reference_code": pair.reference_code,
                "prediction_code": pair.prediction_code,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return out / LIST


class PairFolder:
    """The pairs that `write_pairs` wrote, with random access; a pair is read, images included, when it is asked for.

    Args:
      folder: where ``pairs.jsonl`` is.

    Raises:
      ValueError: no list there.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.path = self.folder / LIST
        if not self.path.is_file():
            where = self.folder
            raise ValueError(f"there is no {LIST} in {where}" if where.is_dir() else f"there is no folder {where}")
        self._places: list[tuple[int, int]] = []
        """Of each pair: number of its line, and the byte it starts at."""
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    self._places.append((number, place))
                place += len(line)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Pair:
        """Pair `index`.

        Raises:
          ValueError: a broken line or a missing image; one line that names the file, and the line by its number.
          IndexError: there are fewer.
        """
        number, place = self._places[index]
        with self.path.open("rb") as file:
            file.seek(place)
            line = file.readline()
        try:
            return _pair(json.loads(line), self.folder)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path}, line {number}: not JSON: {error}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}, line {number}: not UTF-8: {error}") from None
        except (ValueError, OSError) as error:
            raise ValueError(f"{self.path}, line {number}: {error}") from None


def _pair(line: Any, folder: Path) -> Pair:
    if not isinstance(line, dict):
        raise ValueError(f"a {type(line).__name__}, not an object")
    for name, kind in _FIELDS.items():
        if not isinstance(line.get(name), kind):
            found = f"is {type(line[name]).__name__}" if name in line else "is missing"
            raise ValueError(f"field {name!r} {found}, should be {kind.__name__}")
    task = line["category"]
    if task not in SCHEMAS:
        raise ValueError(f"category is {task!r}; there are {', '.join(SCHEMAS)}")
    edits = tuple(_edit(entry, task) for entry in line["edits"])
    critique = Critique(task, tuple(edit.discrepancy for edit in edits))
    return Pair(
        line["id"],
        task,
        line["reference_code"],
        line["prediction_code"],
        _image(folder / line["gt_img_path"]),
        _image(folder / line["pred_img_path"]),
        critique,
        edits,
        _boxes(line.get("boxes", []), len(edits)),
    )


def _boxes(entries: Any, n: int) -> tuple[Box | None, ...]:
    """Boxes are younger than the format: a list without them is whole."""
    fits = isinstance(entries, list) and len(entries) in (0, n)
    if not fits or not all(box is None or (isinstance(box, list) and len(box) == 4) for box in entries):
        raise ValueError(f"boxes should be a list of {n} boxes, each null or four numbers")
    return tuple(None if box is None else tuple(int(side) for side in box) for box in entries)


def _edit(entry: Any, task: str) -> Edit:
    try:
        edit = Edit(**entry)
    except TypeError:
        raise ValueError(f"an edit has the fields {', '.join(Edit.__dataclass_fields__)}, not {entry!r:.60}") from None
    if edit.category not in SCHEMAS[task].categories or edit.severity not in SEVERITIES:
        raise ValueError(f"an edit has category {edit.category!r} and severity {edit.severity!r}")
    return edit


def _image(path: Path) -> np.ndarray:
    """uint8[H, W, 3]."""
    if not path.is_file():
        raise ValueError(f"there is no image {path}")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ValueError(f"{path}: {error}") from None
