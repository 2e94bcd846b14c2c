"""Sources of programs, all with random access, opened by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from jaxerm.critique import Task, check_task
from jaxerm.data.program import Program


class Source(Protocol):
    """Programs of one task, by index; the same index gives the same program on every machine."""

    task: Task

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Program: ...


def default_source(task: Task) -> str:
    """Name of the source of real material for a task."""
    return {"svg": "icons", "table": "tables", "chart": "charts"}[check_task(task)]


def open_source(name: str, **options: Any) -> Source:
    """Opens a source by name.

    Args:
      name: ``drawings``, ``icons``, ``tables``, ``charts``, or a folder of .svg or of .csv files.
      options: of that source. A folder also takes ``task`` (svg or table), needed when it holds both kinds of file.

    Raises:
      ValueError: no such source or folder, or options it does not have.
    """
    from jaxerm.data.sources.charts import Charts
    from jaxerm.data.sources.drawings import Drawings
    from jaxerm.data.sources.icons import Icons, SvgFolder
    from jaxerm.data.sources.tables import CsvFolder, Tables

    known = {"drawings": Drawings, "icons": Icons, "tables": Tables, "charts": Charts}
    make: Any
    if name in known:
        make = known[name]
    elif Path(name).is_dir():
        options = {"path": name, **options}
        make = {"svg": SvgFolder, "table": CsvFolder}[_folder_task(Path(name), options.pop("task", None))]
    else:
        raise ValueError(f"unknown source {name!r}; there are {', '.join(known)}, or the path of a folder that exists")
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"source {name!r}: {error}") from None


def _folder_task(path: Path, task: str | None) -> str:
    """What a folder is read as: what the options say, or what lies in it."""
    if task is None:
        found = [kind for kind, suffix in (("svg", "svg"), ("table", "csv")) if next(path.rglob(f"*.{suffix}"), None)]
        if len(found) != 1:
            held = "both .svg and .csv files; say which with task: svg or table" if found else "no .svg or .csv file"
            raise ValueError(f"folder {str(path)!r} holds {held}")
        return found[0]
    if task not in ("svg", "table"):
        raise ValueError(f"a folder is read with task svg or table, not {task!r}")
    return task
