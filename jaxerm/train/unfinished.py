"""The answers of a step that a run had to leave in the middle: the dearest part of it is not paid for twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import jax
import numpy as np

from jaxerm.models.sampler import Generated


class Unfinished:
    """One file in the folder of a run.

    Answers are a function of the weights and of the step. A file is used up only by the very step it was written in;
    any other is deleted.

    Args:
      path: of the file.
    """

    def __init__(self, path: Path):
        self.path = path

    def save(self, step: int, parts: Sequence[Generated]) -> None:
        """Writes beside, then renames; the first process does it for all."""
        if jax.process_index():
            return
        arrays = {
            f"{number}_{field.name}": np.asarray(getattr(part, field.name))
            for number, part in enumerate(parts)
            for field in fields(Generated)
        }
        scratch = self.path.with_suffix(".tmp.npz")
        np.savez(scratch, step=step, parts=len(parts), **arrays)
        os.replace(scratch, self.path)

    def load(self, step: int) -> list[Generated]:
        """The parts that were generated of `step`, in order; none if there is no such file."""
        if not self.path.is_file():
            return []
        with np.load(self.path) as file:
            if int(file["step"]) != step:
                return []
            names = [field.name for field in fields(Generated)]
            return [Generated(**{name: file[f"{n}_{name}"] for name in names}) for n in range(int(file["parts"]))]
