"""Data sets in the formats people have: verl, ms-swift, LLaMA-Factory, VC-RewardBench, or columns named by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxerm.critique import TASKS, Task
from jaxerm.data.picture import picture_of
from jaxerm.data.program import Program
from jaxerm.data.rows import Rows, dig, open_rows
from jaxerm.render import extract_code


def _last_answer(turns: Any) -> Any:
    """What the assistant said last, in either of the ways turns are written."""
    for turn in reversed(turns if isinstance(turns, list) else []):
        if isinstance(turn, dict) and turn.get("role", turn.get("from")) in ("assistant", "gpt"):
            return turn.get("content", turn.get("value"))
    return None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None if isinstance(value, list) else value


_Read = Callable[[dict[str, Any]], tuple[Any, Any]]
FORMATS: dict[str, tuple[tuple[str, ...], _Read]] = {
    "vc_rewardbench": (
        ("gt_img_path", "pred_img_path"),
        lambda row: (row["gt_img_path"], row.get("reference_code")),
    ),
    "verl": (
        ("prompt", "reward_model"),
        lambda row: (_first(row.get("images")), dig(row, "reward_model.ground_truth")),
    ),
    "swift": (("messages",), lambda row: (_first(row.get("images")), _last_answer(row["messages"]))),
    "llamafactory": (("conversations",), lambda row: (_first(row.get("images")), _last_answer(row["conversations"]))),
    "alpaca": (("instruction", "output"), lambda row: (_first(row.get("images")), row["output"])),
}
"""Name -> the fields it is known by, and a function of a row: (image, text that holds the code), either may be None.
ms-swift and LLaMA-Factory share ``messages``; LLaMA-Factory also has ``conversations`` and the alpaca form."""


class Records:
    """The rows of a data set as programs. Code is None where a row has none: reinforcement learning needs only images.

    Args:
      name: file or ``tfds:NAME``, see `open_rows`.
      task: of all rows; a row's own ``category`` or ``task`` wins. A row of a VC-RewardBench file has one.
      format: one of `FORMATS`, ``columns``, or ``auto``: told by the fields of the first row.
      image, code: dotted names of the columns, for ``columns``: ``images.0``, ``extra.solution``.
      split, data_dir: of TFDS.

    Raises:
      ValueError: see `open_rows`; a format that is not known, or rows that have neither image nor code.
    """

    def __init__(
        self,
        name: str,
        task: Task | None = None,
        format: str = "auto",
        image: str | None = None,
        code: str | None = None,
        split: str = "train",
        data_dir: str | None = None,
    ):
        self._rows = open_rows(name, split, data_dir)
        first = self._rows[0]
        if image or code:
            format = "columns"
        if format == "auto":
            format = next((known for known, (keys, _) in FORMATS.items() if all(key in first for key in keys)), "")
        if format == "columns" and (image or code):
            self._read: _Read = lambda row: (image and dig(row, image), code and dig(row, code))
        elif format in FORMATS:
            self._read = FORMATS[format][1]
        else:
            fields = ", ".join(map(str, first))
            raise ValueError(
                f"{name} has the fields {fields}, which are none of the formats {', '.join(FORMATS)}: "
                f"name the columns with image: and code:"
            )
        self.task = _task_of(first) or task
        if self.task not in TASKS:
            raise ValueError(f"{name} does not say its task; give task: one of {', '.join(TASKS)}")
        self._program(0)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {self._rows.name}; there are {len(self)}")
        return self._program(index)

    def _program(self, index: int) -> Program:
        rows: Rows = self._rows
        row = rows[index]
        where = f"{rows.name}, item {index}"
        try:
            image, text = self._read(row)
            picture = picture_of(image, rows.folder) if image else None
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(f"{where}: {error}") from None
        task = _task_of(row) or self.task
        code = None
        if isinstance(text, str) and text.strip():
            # An answer with its fence, or the code itself; another text, such as a label, is no code.
            code = extract_code(text, task)
        if picture is None and code is None:
            raise ValueError(f"{where}: there is neither an image nor {task} code")
        return Program(task, code or "", str(row.get("id", row.get("idx", where))), "", picture, row)


def _task_of(row: dict[str, Any]) -> Task | None:
    for name in ("category", "task"):
        if row.get(name) in TASKS:
            return row[name]
    return None
