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
      name: ``drawings``, ``icons``, ``tables``, ``charts``; a folder of .svg, .csv or .html files or of matplotlib
        scripts; a .jsonl, .json or .parquet file in one of the formats of `Records`; or ``tfds:NAME``.
      options: of that source. A folder also takes ``task``, or ``read`` (svg, csv, html or py), needed when it holds
        several of them.

    Raises:
      ValueError: no such source, file or folder, or options it does not have.
    """
    from jaxerm.data.sources.charts import Charts
    from jaxerm.data.sources.drawings import Drawings
    from jaxerm.data.sources.icons import Icons, SvgFolder
    from jaxerm.data.sources.pages import PageTables
    from jaxerm.data.sources.records import Records
    from jaxerm.data.sources.scripts import ScriptFolder
    from jaxerm.data.sources.tables import CsvFolder, Tables

    known = {"drawings": Drawings, "icons": Icons, "tables": Tables, "charts": Charts}
    make: Any
    if name in known:
        make = known[name]
    elif Path(name).is_dir():
        kinds = {"svg": SvgFolder, "csv": CsvFolder, "html": PageTables, "py": ScriptFolder}
        kind = _folder_kind(Path(name), options.pop("read", None), options.pop("task", None))
        make = kinds[kind]
        options = {"path": name, **options}
    elif name.startswith("tfds:") or Path(name).suffix in (".jsonl", ".json", ".parquet"):
        make = Records
        options = {"name": name, **options}
    else:
        there_are = f"there are {', '.join(known)}, the path of a folder or file that exists, or tfds:NAME"
        raise ValueError(f"unknown source {name!r}; {there_are}")
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"source {name!r}: {error}") from None


_KINDS = {"svg": "svg", "csv": "table", "html": "table", "py": "chart"}
"""What a folder may hold -> the task it is for."""


def _folder_kind(path: Path, kind: str | None, task: str | None) -> str:
    """What a folder is read as: what the options say, or what lies in it."""
    if kind is not None:
        if kind not in _KINDS:
            raise ValueError(f"a folder is read as one of {', '.join(_KINDS)}, not {kind!r}")
        return kind
    wanted = [kind for kind, of in _KINDS.items() if task in (None, of)]
    found = [kind for kind in wanted if next(path.rglob(f"*.{kind}"), None)]
    if len(found) != 1:
        names = ", ".join(f".{kind}" for kind in wanted)
        several = f"{' and '.join(f'.{kind}' for kind in found)} files; say which with task or read"
        raise ValueError(f"folder {str(path)!r} holds {several if found else f'no {names} file'}")
    return found[0]
