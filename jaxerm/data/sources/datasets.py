"""Small data sets that ship inside the package vega_datasets, read from its files: no pandas, no network."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

Value = str | int | float
_FILES = (
    "airports.csv", "anscombe.json", "barley.json", "burtin.json", "cars.json", "crimea.json", "driving.json",
    "iowa-electricity.csv", "iris.json", "ohlc.json", "seattle-weather.csv", "stocks.csv", "us-employment.csv",
    "wheat.json",
)  # fmt: skip
"""Those with columns that read well in a small table. The two sets of hourly temperatures have one column of values."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)
_NEW_YEAR = re.compile(r"(\d{4})-01-01")


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
      name: of the file, in words.
      columns: name in words -> its values, all of them numbers or all of them text; the columns are equally long.
    """

    name: str
    columns: dict[str, list[Value]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def numeric(self) -> list[str]:
        """Names of the columns of numbers."""
        return [name for name, values in self.columns.items() if not isinstance(values[0], str)]


def in_words(name: str) -> str:
    """``Miles_per_Gallon``, ``sepalLength`` -> ``miles per gallon``, ``sepal length``."""
    return re.sub(r"[_\-\s]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def written(value: Value) -> str:
    """A value as it stands in a table: two decimals at most, or three digits of a small number."""
    if isinstance(value, float):
        text = f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
        return (text.rstrip("0").rstrip(".") or "0") if "." in text and "e" not in text else text
    return str(value)


def _typed(values: Sequence[object]) -> list[Value] | None:
    """All numbers, or all text; None where a value is missing or nested."""
    if any(value is None or isinstance(value, (dict, list, bool)) or str(value).strip() == "" for value in values):
        return None
    texts = [str(value).strip() for value in values]
    if all(match := [_NEW_YEAR.fullmatch(text) for text in texts]):
        return [int(year.group(1)) for year in match]
    if all(_NUMBER.fullmatch(text) for text in texts):
        # As a reader would write it: 12.0 in a file of floats is 12.
        numbers = [float(text) for text in texts]
        return [int(value) if value.is_integer() and abs(value) < 1e15 else value for value in numbers]
    return texts


def from_records(name: str, records: Sequence[dict[str, object]]) -> Dataset | None:
    """A data set of rows given as dicts. Rows with a missing value are left out; None if no row or column is left."""
    if not records:
        return None
    keys = list(records[0])
    whole = [row for row in records if all(row.get(key) not in (None, "") for key in keys)]
    columns = {}
    for key in keys:
        values = _typed([row[key] for row in whole]) if whole else None
        if values and in_words(key):
            columns[in_words(key)] = values
    return Dataset(name, columns) if columns else None


def read_csv(path: Path) -> Dataset:
    """A CSV file with a header line.

    Raises:
      ValueError: it cannot be read, or it has no header and one whole row; the message names it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = from_records(in_words(path.stem), [dict(row) for row in csv.DictReader(file)])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from None
    if found is None:
        raise ValueError(f"{path}: no header line followed by a row without gaps")
    return found


def csv_datasets(path: str | Path) -> tuple[Dataset, ...]:
    """Those of a folder's .csv files and its subfolders', in order of their names.

    A file that cannot be read is passed over, and named in a RuntimeWarning.

    Raises:
      ValueError: no such folder, no file in it, or none that can be read; the message names the last.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder" if path.exists() else f"there is no folder {path}")
    found = sorted(path.rglob("*.csv"))
    if not found:
        raise ValueError(f"there are no .csv files in {path}")
    read, last = [], None
    for file in found:
        try:
            read.append(read_csv(file))
        except ValueError as error:
            last = error
            warnings.warn(f"passed over: {error}", RuntimeWarning, stacklevel=2)
    if last is not None and not read:
        raise last
    return tuple(read)


@cache
def datasets() -> tuple[Dataset, ...]:
    """All sets, in a fixed order.

    Raises:
      ValueError: vega_datasets is not installed, or a file it should carry is not there.
    """
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("these data sets need the package vega_datasets: pip install vega_datasets")
    folder = Path(next(iter(spec.submodule_search_locations))) / "_data"
    result = []
    for name in _FILES:
        path = folder / name
        if not path.is_file():
            raise ValueError(f"vega_datasets carries no {name}; release 0.9 does")
        if path.suffix == ".csv":
            result.append(read_csv(path))
        else:
            result.append(from_records(in_words(path.stem), json.loads(path.read_text(encoding="utf-8"))))
    return tuple(result)
