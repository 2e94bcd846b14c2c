"""What a reward is: it reads attempts, some or all of a batch, and says what each is worth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.result import RewardResult


class Reward(Protocol):
    """Something that says what attempts are worth. Implementations inherit from it.

    A reward may be called from several threads, each time with a part of a batch. What can only be said of the batch as
    a whole, such as a share of its largest value, is said in `settle`, once, when all parts are there.

    Attributes:
      name: what it is called in metrics.
      on_mesh: whether it runs programs on a mesh that several processes share: all must then call it alike.
    """

    name: str
    on_mesh: bool = False

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> Sequence[RewardResult]:
        """One result an attempt, in order.

        Args:
          attempts: with code and render.
          seed: where something is sampled.
        """
        ...

    def key(self, attempt: Attempt) -> Hashable | None:
        """Attempts with equal keys are scored once; None is equal to nothing."""
        return None

    def settle(self, attempts: Sequence[Attempt], results: Sequence[RewardResult]) -> Sequence[RewardResult]:
        """The final results, given those of the whole batch."""
        return results
