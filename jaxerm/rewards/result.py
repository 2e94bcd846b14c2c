"""The result of scoring one attempt: a number, the policy's fault, or ours. Never a number made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jaxerm.critique import Critique


@dataclass(frozen=True)
class RewardResult:
    """What one reward says of one attempt, or all of them together.

    Attributes:
      status: ``scored``; ``failed``, the policy's fault, worth the least; ``unscored``, a fault of the reward model,
        the renderer's host, the network or a function, left out of the group; ``skipped``, one reward of several does
        not apply to this attempt and is left out of its sum.
      value: the reward; None when unscored or skipped.
      parts: what each reward gave, before its weight, where several are added up.
      reason: why it failed or has no score.
      critique: of the reward model, where it was asked and could be read.
    """

    status: Literal["scored", "failed", "unscored", "skipped"]
    value: float | None
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    critique: Critique | None = None


def scored(value: float, critique: Critique | None = None) -> RewardResult:
    """An attempt with a reward."""
    return RewardResult("scored", float(value), critique=critique)


def failed(reason: str, value: float = 0.0) -> RewardResult:
    """An attempt that is the policy's fault, such as code that does not render: worth `value`, the least there is."""
    return RewardResult("failed", float(value), {}, reason)


def unscored(reason: str) -> RewardResult:
    """An attempt that could not be judged through no fault of its own."""
    return RewardResult("unscored", None, {}, reason)


def skipped(reason: str) -> RewardResult:
    """An attempt that this reward has nothing to say of."""
    return RewardResult("skipped", None, {}, reason)
