"""Safetensors of a directory, in one file or in shards behind an index: read by slices, written shard by shard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class TensorFiles:
    """Random access to the tensors of a directory.

    A file is opened for one look and closed again: never more than one is mapped into memory, however many there are.

    Raises:
      FileNotFoundError: no weights there, or a shard of the index is missing.
      ValueError: a file that cannot be read.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        index = directory / _INDEX
        if index.exists():
            try:
                self.where = dict(json.loads(index.read_text())["weight_map"])
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{index} is not an index of shards: {error!r}") from None
        elif (directory / _SINGLE).exists():
            with self._open(_SINGLE) as file:
                self.where = dict.fromkeys(file.keys(), _SINGLE)
        else:
            raise FileNotFoundError(f"{directory} holds neither {_SINGLE} nor {_INDEX}")

    def _open(self, name: str):
        path = self.directory / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is named in the index and is not there")
        try:
            return safe_open(path, framework="np")
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from None

    def names(self) -> set[str]:
        """Of all tensors."""
        return set(self.where)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one tensor; nothing of it is read."""
        return self._look(name, lambda tensor: tuple(tensor.get_shape()))

    def read(self, name: str, index: Any) -> np.ndarray:
        """Part of a tensor, as NumPy would cut it."""
        return self._look(name, lambda tensor: tensor[index])

    def _look(self, name: str, take: Any) -> Any:
        with self._open(self.where[name]) as file:
            try:
                return take(file.get_slice(name))
            except SafetensorError as error:
                path = self.directory / self.where[name]
                raise ValueError(f"{path} cannot give the tensor {name}: {error}") from None


def write_tensors(
    directory: Path, sizes: dict[str, int], tensors: Iterable[tuple[str, np.ndarray]], shard_bytes: int
) -> None:
    """Writes tensors as Hugging Face and vLLM read them: one file, or shards of at most `shard_bytes` and an index.

    Args:
      directory: where to; an earlier set of weights there is replaced.
      sizes: bytes of each tensor, in the order in which they come.
      tensors: the tensors; never more than a shard of them is held.
      shard_bytes: a tensor that is larger gets a shard of its own.
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    for stale in [*directory.glob("model-*-of-*.safetensors"), directory / _INDEX, directory / _SINGLE]:
        stale.unlink(missing_ok=True)
    coming = iter(tensors)
    where = {}
    for number, names in enumerate(shards, start=1):
        file = _SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        held = dict(next(coming) for _ in names)
        if list(held) != names:
            raise ValueError("the tensors do not come in the order of their sizes")
        save_file(held, directory / file, metadata={"format": "pt"})
        (directory / file).chmod(0o644)  # the writer makes it readable by its owner alone
        where |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": dict(sorted(where.items()))}
        (directory / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
