"""Sources of programs, all with random access, opened by name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from jaxerm.critique import Task, check_task
from jaxerm.data.program import Program


class Source(Protocol):
    """Programs of one task, by index; the same index gives the same program on every machine."""

    task: Task

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Program: ...


NAMED = ("drawings", "icons", "tables", "charts")
"""Sources that are of one task; folders and files are told theirs."""


def default_source(task: Task) -> str:
    """Name of the source of real material for a task."""
    return {"svg": "icons", "table": "tables", "chart": "charts"}[check_task(task)]


def open_source(name: str, **options: Any) -> Source:
    """Opens a source by name.

    Args:
      name: ``drawings``, ``icons``, ``tables``, ``charts``; a folder of .svg, .csv or .html files or of matplotlib
        scripts; ``package:NAME``, the folder of an installed package that carries such files; a .jsonl, .json or
        .parquet file in one of the formats of `Records`; or ``tfds:NAME``.
      options: of that source. A folder also takes ``task``, or ``read`` (svg, csv, html or py), needed when it holds
        several of them; .csv files are tables unless the task is chart.

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

    installed = name.startswith("package:")
    if installed:
        name = _package_folder(name.removeprefix("package:"))
    known = {"drawings": Drawings, "icons": Icons, "tables": Tables, "charts": Charts}
    make: Any
    if name in known:
        make = known[name]
    elif Path(name).is_dir():
        kinds = {"svg": SvgFolder, "csv": CsvFolder, "html": PageTables, "py": ScriptFolder}
        task = options.pop("task", None)
        kind = _folder_kind(Path(name), options.pop("read", None), task, installed)
        make = Charts if (kind, task) == ("csv", "chart") else kinds[kind]
        options = {"path": name, **options}
    elif name.startswith("tfds:") or Path(name).suffix in (".jsonl", ".json", ".parquet"):
        make = Records
        options = {"name": name, **options}
    else:
        there_are = f"there are {', '.join(known)}, the path of a folder or file that exists, package:NAME or tfds:NAME"
        raise ValueError(f"unknown source {name!r}; {there_are}")
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"source {name!r}: {error}") from None


_KINDS = {"svg": ("svg",), "csv": ("table", "chart"), "html": ("table",), "py": ("chart",)}
"""What a folder may hold -> the tasks it is for, the one nobody has to name first."""


def _package_folder(name: str) -> str:
    """Where an installed package keeps its files."""
    try:
        spec = find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there is no installed package {name!r} with files in it; name it as it is imported")
    return next(iter(spec.submodule_search_locations))


def _folder_kind(path: Path, kind: str | None, task: str | None, installed: bool) -> str:
    """What a folder is read as: what the options say, or what lies in it."""
    if kind is not None:
        if kind not in _KINDS:
            raise ValueError(f"a folder is read as one of {', '.join(_KINDS)}, not {kind!r}")
        return kind
    # The scripts of an installed package are its own code.
    wanted = [kind for kind, tasks in _KINDS.items() if task in (None, *tasks) and not (installed and kind == "py")]
    found = [kind for kind in wanted if next(path.rglob(f"*.{kind}"), None)]
    if len(found) != 1:
        names = ", ".join(f".{kind}" for kind in wanted)
        several = f"{' and '.join(f'.{kind}' for kind in found)} files; say which with task or read"
        raise ValueError(f"folder {str(path)!r} holds {several if found else f'no {names} file'}")
    return found[0]
