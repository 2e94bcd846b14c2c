"""Rows of the files data sets come in, by index: JSON Lines, JSON, parquet, TFDS. Read when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Rows(Protocol):
    """A table of dicts.

    Attributes:
      folder: what paths in it are relative to.
      name: of the data set, for messages.
    """

    folder: Path
    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class JsonLines:
    """A JSON Lines file: the place of every line is kept (8 bytes each), the line itself is read when asked for."""

    def __init__(self, path: Path):
        self.folder, self.name, self._path = path.parent, str(path), path
        places = []
        with path.open("rb") as file:
            at = 0
            for line in file:
                if line.strip():
                    places.append(at)
                at += len(line)
        self._places = np.array(places, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(self._places[index])
            line = file.readline()
        try:
            return _checked(json.loads(line.decode("utf-8")), self.name, index)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{self.name}, item {index}: not JSON: {error}") from None


class JsonList:
    """A JSON file that holds one list; it is in memory as a whole."""

    def __init__(self, path: Path):
        self.folder, self.name = path.parent, str(path)
        try:
            self._rows = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
        if not isinstance(self._rows, list):
            raise ValueError(f"{path} holds a {type(self._rows).__name__}, not a list")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return _checked(self._rows[index], self.name, index)


class Parquet:
    """A parquet file; one group of rows is read at a time, and two are kept."""

    def __init__(self, path: Path):
        try:
            import pyarrow.parquet
        except ImportError:
            raise ValueError(f"{path}: parquet files need pyarrow: pip install 'jaxerm[parquet]'") from None
        self.folder, self.name = path.parent, str(path)
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is not a parquet file: {error}") from None
        groups = [self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)]
        self._starts = np.cumsum([0, *groups])
        self._group = lru_cache(maxsize=2)(self._file.read_row_group)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._group(group).slice(index - self._starts[group], 1).to_pylist()[0]


class Tfds:
    """A split of a TensorFlow data set that has been prepared in a random-access format (``tfds.data_source``).

    Args:
      name: such as ``my_charts:1.0.0``.
      split: of it.
      data_dir: where it lies; the library's own place if None.
    """

    def __init__(self, name: str, split: str = "train", data_dir: str | None = None):
        try:
            import tensorflow_datasets as tfds
        except ImportError:
            raise ValueError(f"source 'tfds:{name}' needs pip install 'jaxerm[tfds]'") from None
        self.folder, self.name = Path(data_dir or "."), f"tfds:{name}"
        try:
            # Images stay as the bytes of their files until somebody looks.
            builder = tfds.builder(name, data_dir=data_dir)
            images = [key for key, kind in builder.info.features.items() if isinstance(kind, tfds.features.Image)]
            decoders = {key: tfds.decode.SkipDecoding() for key in images}
            self._data = builder.as_data_source(split=split, decoders=decoders or None)
        except Exception as error:  # many kinds of its own
            raise ValueError(f"{self.name}, split {split!r}: {type(error).__name__}: {error}") from None

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: _plain(value) for key, value in self._data[index].items()}


def _plain(value: Any) -> Any:
    """Arrays of one scalar as that scalar; text as text, unless it is a file of an image."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bytes) and not value.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM")):
        return value.decode("utf-8", "replace")
    return value


def _checked(row: Any, name: str, index: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{name}, item {index}: a {type(row).__name__}, not an object")
    return row


def open_rows(name: str, split: str = "train", data_dir: str | None = None) -> Rows:
    """Opens a file by its name's end (.jsonl, .json, .parquet), or ``tfds:NAME``.

    Raises:
      ValueError: no such file, another kind of file, a broken one, or one without rows.
    """
    rows: Rows
    if name.startswith("tfds:"):
        rows = Tfds(name.removeprefix("tfds:"), split, data_dir)
    else:
        path = Path(name)
        kinds = {".jsonl": JsonLines, ".json": JsonList, ".parquet": Parquet}
        if path.suffix not in kinds:
            raise ValueError(f"{name}: a file of rows ends in {', '.join(kinds)}")
        if not path.is_file():
            raise ValueError(f"there is no file {name}")
        rows = kinds[path.suffix](path)
    if not len(rows):
        raise ValueError(f"{name} holds no rows")
    return rows


def dig(row: dict[str, Any], names: str) -> Any:
    """A value by its dotted name, such as ``reward_model.ground_truth``; None where there is none."""
    value: Any = row
    for name in names.split("."):
        if isinstance(value, Sequence) and not isinstance(value, str | bytes) and name.lstrip("-").isdigit():
            place = int(name)
            value = value[place] if -len(value) <= place < len(value) else None
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value
