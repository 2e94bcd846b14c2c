"""Rewards of the code alone: whether it renders, and how long it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, failed, scored, unscored


class RenderSuccess(Reward):
    """r = 1 for code that renders, else 0: Visual-ERM's r_rsr. A fault of the renderer's host is unscored."""

    name = "render_success"

    def key(self, attempt: Attempt) -> Hashable:
        return attempt.task, attempt.code

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        return [attempt.unrendered or scored(1.0) for attempt in attempts]


class Length(Reward):
    """r = 1 - (max(0, L - T / 2) / T) ^ 2, at least -1: 1 for code up to half as long as the target, 3/4 at the target.

    The code efficiency term of RLRF (arXiv 2505.20793), L being the length of the code and T that of the
    reference's own code, here both in characters.

    Args:
      target: T of references whose code is not known; without one they are unscored.
    """

    name = "length"

    def __init__(self, target: int | None = None):
        if target is not None and target < 1:
            raise ValueError(f"length: target is {target}; it is a number of characters, at least 1")
        self.target = target

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        return [self._one(attempt) for attempt in attempts]

    def _one(self, attempt: Attempt) -> RewardResult:
        if attempt.code is None:
            return failed("no code in the answer", -1.0)
        target = len(attempt.columns.get("code") or "") or self.target
        if not target:
            return unscored("the reference's own code is not known; say a target")
        return scored(max(-1.0, 1.0 - (max(0.0, len(attempt.code) - target / 2) / target) ** 2))
