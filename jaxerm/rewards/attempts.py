"""What a reward sees: one answer of a policy, from its text to its code, its render and at last its reward."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jaxerm.critique import Critique, Task
from jaxerm.render import RenderResult
from jaxerm.rewards.result import RewardResult, failed, unscored


@dataclass(frozen=True)
class Attempt:
    """One answer of a policy: first its text, then its code and render, at last its reward.

    Attributes:
      task: what was asked for.
      reference: uint8[H, W, 3].
      text: what the policy wrote.
      prompt: what it was asked, the images left out.
      columns: of the row the prompt came from; ``code`` is the reference's own code where the source has it.
      tokens: int32[n] of the text, its end of turn included, where they are known.
      code: what of the text is code; None if none is.
      render: what became of the code; None if there is none.
      reward: the result.
    """

    task: Task
    reference: np.ndarray
    text: str
    prompt: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    tokens: np.ndarray | None = None
    code: str | None = None
    render: RenderResult | None = None
    reward: RewardResult | None = None

    @property
    def image(self) -> np.ndarray | None:
        """uint8[H, W, 3] if it rendered."""
        return self.render.image if self.render is not None and self.render.ok else None

    @property
    def critique(self) -> Critique | None:
        """Of the reward model, if there was something to judge and it could be read."""
        return self.reward.critique if self.reward is not None else None

    @property
    def unrendered(self) -> RewardResult | None:
        """What a reward that needs an image says where there is none: failed or unscored; None where there is one."""
        if self.render is None:
            return failed("no code in the answer")
        if self.render.ok:
            return None
        reason = f"{self.render.error.kind}: {self.render.error.text}"
        return unscored(reason) if self.render.fault == "host" else failed(reason)

    @cached_property
    def pair(self) -> Hashable:
        """Equal for attempts at equal pictures with equal code."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.reference), digest_size=16).digest()
        return self.task, self.reference.shape, digest, self.code
