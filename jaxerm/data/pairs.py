"""Pairs of reference and attempt with the critique that is known to be true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxerm.critique import Critique, Task
from jaxerm.data.corruption import corrupt
from jaxerm.data.program import Edit
from jaxerm.data.sources import Source
from jaxerm.render import RenderPool


class BrokenSample(ValueError):
    """A sample that cannot be made; the message names its source and index."""


@dataclass(frozen=True)
class Pair:
    """One reference, one attempt, and what differs.

    Attributes:
      id: names source, index and seed.
      task: of both.
      reference_code, prediction_code: the programs.
      reference, prediction: uint8[H, W, 3], their renders.
      critique: the truth.
      edits: the ledger it was made from.
    """

    id: str
    task: Task
    reference_code: str
    prediction_code: str
    reference: np.ndarray
    prediction: np.ndarray
    critique: Critique
    edits: tuple[Edit, ...]


class PairMaker:
    """Makes pair after pair from a source.

    Args:
      source: of reference programs.
      pool: renders both sides.
      seed: of all corruptions.
      max_edits: one to this many edits a pair.
      clean_share: share of pairs with none.
    """

    def __init__(
        self, source: Source, pool: RenderPool, *, seed: int = 0, max_edits: int = 3, clean_share: float = 0.15
    ):
        self.source, self.pool, self.seed = source, pool, seed
        self.max_edits, self.clean_share = max_edits, clean_share

    def make(self, index: int) -> Pair:
        """Pair `index`: of program ``index % len(source)``, the same on every machine.

        Raises:
          BrokenSample: one of the two does not render.
        """
        program = self.source[index % len(self.source)]
        rng = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        clean = rng.random() < self.clean_share
        n_edits = 0 if clean else int(rng.integers(1, self.max_edits + 1))
        corruption = corrupt(program, rng, n_edits)
        images = []
        for code in (program.code, corruption.code):
            result = self.pool.render(program.task, code)
            if not result.ok:
                raise BrokenSample(f"{program.name} (index {index}) does not render: {result.error.text}")
            images.append(result.image)
        edits = corruption.edits
        if images[0].shape == images[1].shape and np.array_equal(*images):
            # What cannot be seen in the pixels is no discrepancy.
            edits = ()
        critique = Critique(program.task, tuple(edit.discrepancy for edit in edits))
        return Pair(
            f"{program.name}-{self.seed}-{index}", program.task, program.code, corruption.code, *images, critique, edits
        )
