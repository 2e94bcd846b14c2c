"""Pairs of reference and attempt with the critique that is known to be true of them, and how they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from jaxerm.critique import Critique, Task
from jaxerm.data.corruption import corrupt
from jaxerm.data.program import Corruption, Edit, Program
from jaxerm.data.sources import Source
from jaxerm.data.visible import Box, change_box, differs
from jaxerm.render import RenderPool, RenderResult


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
      boxes: for each edit where it shows in the reference, None where that is not known; empty if nobody asked.
    """

    id: str
    task: Task
    reference_code: str
    prediction_code: str
    reference: np.ndarray
    prediction: np.ndarray
    critique: Critique
    edits: tuple[Edit, ...]
    boxes: tuple[Box | None, ...] = ()


def drawn(program: Program, pool: RenderPool) -> np.ndarray:
    """The picture of a program, uint8[H, W, 3]: its own where the source has one, else its render.

    Raises:
      BrokenSample: there is no readable picture, or the code does not render.
    """
    return opened(program, None if program.picture is not None else pool.render(program.task, program.code))


def opened(program: Program, result: RenderResult | None) -> np.ndarray:
    """The same, given what became of the code of a program without a picture.

    Raises:
      BrokenSample: there is no readable picture, or the code did not render.
    """
    if program.picture is not None:
        try:
            return program.picture.open()
        except ValueError as error:
            raise BrokenSample(f"{program.name}: {error}") from None
    if not result.ok:
        raise BrokenSample(f"{program.name} does not render: {result.error.text}")
    return result.image


class PairMaker:
    """Makes pair after pair from a source.

    Args:
      source: of reference programs.
      pool: renders both sides.
      seed: of all corruptions.
      max_edits: one to this many edits a pair.
      clean_share: share of pairs with none.
      boxes: whether to find where each edit shows; it takes a render for each.
    """

    def __init__(
        self,
        source: Source,
        pool: RenderPool,
        *,
        seed: int = 0,
        max_edits: int = 3,
        clean_share: float = 0.15,
        boxes: bool = False,
    ):
        self.source, self.pool, self.seed = source, pool, seed
        self.max_edits, self.clean_share, self.boxes = max_edits, clean_share, boxes

    def make(self, index: int) -> Pair:
        """Pair `index`: of program ``index % len(source)``, the same on every machine.

        What cannot be seen in the pixels is no discrepancy: it leaves the ledger, though not the code.

        Raises:
          BrokenSample: the code cannot be read, or one of the two programs does not render.
        """
        program = self.source[index % len(self.source)]
        if not program.code:
            raise BrokenSample(f"{program.name} (index {index}) has a picture and no code: there is nothing to corrupt")
        rng = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        clean = rng.random() < self.clean_share
        n_edits = 0 if clean else int(rng.integers(1, self.max_edits + 1))
        try:
            corruption = corrupt(program, rng, n_edits)
        except ValueError as error:
            raise BrokenSample(f"index {index}: {error}") from None
        images = []
        for code in (program.code, corruption.code):
            result = self.pool.render(program.task, code)
            if not result.ok:
                raise BrokenSample(f"{program.name} (index {index}) does not render: {result.error.text}")
            images.append(result.image)
        edits, boxes = self._seen(corruption, *images)
        critique = Critique(program.task, tuple(edit.discrepancy for edit in edits))
        name = f"{program.name}-{self.seed}-{index}"
        return Pair(name, program.task, program.code, corruption.code, *images, critique, edits, boxes)

    def _seen(self, corruption: Corruption, reference: np.ndarray, prediction: np.ndarray):
        """The edits that can be seen, and their boxes: made alone they change the picture, as does leaving them out."""
        if not differs(reference, prediction):
            return (), ()
        if not self.boxes and (corruption.sure or len(corruption.edits) < 2):
            return corruption.edits, ()
        kept = []
        hidden = self._hidden(corruption, prediction)
        for edit, image in zip(corruption.edits, self._alone(corruption, prediction), strict=True):
            if edit in hidden:
                continue
            # An edit that leaves nothing to see on its own is one that can be seen.
            box = None if image is None else change_box(reference, image)
            if image is None or box is not None:
                kept.append((edit, box))
        edits, boxes = zip(*kept, strict=True) if kept else ((), ())
        return edits, boxes if self.boxes else ()

    def _hidden(self, corruption: Corruption, prediction: np.ndarray) -> list[Edit]:
        """The edits that another one covers, so that the picture would be the same without them."""
        if len(corruption.edits) < 2:
            return []
        pairs = zip(corruption.edits, self._images(corruption, corruption.without), strict=False)
        return [edit for edit, image in pairs if not differs(image, prediction)]

    def _alone(self, corruption: Corruption, prediction: np.ndarray) -> Iterator[np.ndarray | None]:
        """The picture with each edit alone; None for a side effect, which is nothing without the others."""
        return iter([prediction]) if len(corruption.edits) == 1 else self._images(corruption, corruption.alone)

    def _images(self, corruption: Corruption, codes: Sequence[str]) -> Iterator[np.ndarray | None]:
        """Pictures of codes, None where there is none. Code that does not draw leaves open what can be seen."""
        task, name = corruption.program.task, corruption.program.name
        results = self.pool.map((task, code) for code in codes if code)
        for code in codes:
            result = next(results) if code else None
            if result is not None and result.image is None:
                raise BrokenSample(f"{name}: one of its edits does not render: {result.error.text}")
            yield None if result is None else result.image


def make_pairs(maker: PairMaker, n: int, broken: list[str] | None = None) -> Iterator[Pair]:
    """Pairs 0, 1, 2, ... until there are `n`; what is broken is passed over.

    Several are in the making at a time, in order, and no more than the pool has work for.

    Args:
      maker: of the pairs.
      n: pairs.
      broken: takes the messages of what was passed over.

    Raises:
      BrokenSample: more were broken than whole, and at least 20: there is something wrong with the source.
    """
    messages = broken if broken is not None else []
    ahead = 2 * maker.pool.workers
    with ThreadPoolExecutor(ahead) as threads:
        pending = deque(threads.submit(maker.make, index) for index in range(min(ahead, n)))
        index, done = len(pending), 0
        while done < n:
            try:
                pair = pending.popleft().result()
            except BrokenSample as error:
                messages.append(str(error))
                if len(messages) >= 20 and len(messages) > done:
                    raise BrokenSample(
                        f"{len(messages)} samples are broken and {done} whole; the last: {error}"
                    ) from None
            else:
                done += 1
                yield pair
            if done + len(pending) < n:
                pending.append(threads.submit(maker.make, index))
                index += 1
