"""The result of scoring one attempt: a number, the policy's fault, or ours. Never a number made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RewardResult:
    """One attempt's reward.

    Attributes:
      status: ``scored``; ``failed``, the policy's fault, worth the minimum of 0; ``unscored``, a fault of the reward
        model, the renderer's host or the network, left out of the group.
      value: the reward, or None when unscored.
      parts: what the value was made of.
      reason: why it failed or has no score.
    """

    status: Literal["scored", "failed", "unscored"]
    value: float | None
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def scored(value: float, **parts: float) -> RewardResult:
    """An attempt with a reward."""
    return RewardResult("scored", float(value), dict(parts))


def failed(reason: str) -> RewardResult:
    """An attempt that is the policy's fault: no code, or code that does not render."""
    return RewardResult("failed", 0.0, {}, reason)


def unscored(reason: str) -> RewardResult:
    """An attempt that could not be judged through no fault of its own."""
    return RewardResult("unscored", None, {}, reason)
