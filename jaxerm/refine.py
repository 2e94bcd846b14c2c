"""Reflection and revision: draft, render, critique, revise, until the reward model is content or rounds are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxerm.critique import Critique, Task
from jaxerm.models.language import LanguageModel
from jaxerm.models.sampler import Sampling
from jaxerm.prompts import Prompts
from jaxerm.render import RenderPool
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.severity import Scoring, score_attempts
from jaxerm.rewards.visual_erm import VisualERM


@dataclass
class Refinement:
    """What happened to one picture.

    Attributes:
      task: of the picture.
      reference: uint8[H, W, 3].
      rounds: the draft and each revision, as judged attempts.
      min_gain: reward by which a later round must beat what is kept before it.
    """

    task: Task
    reference: np.ndarray
    rounds: list[Attempt] = field(default_factory=list)
    min_gain: float = 0.0

    @property
    def kept(self) -> int:
        """The round with the largest reward, the earliest of equals; a later one only if it gains `min_gain`."""
        kept = 0
        for i, attempt in enumerate(self.rounds):
            if _worth(attempt) > _worth(self.rounds[kept]) + (self.min_gain if _worth(self.rounds[kept]) > 0 else 0):
                kept = i
        return kept

    @property
    def best(self) -> Attempt:
        return self.rounds[self.kept]


def _worth(attempt: Attempt) -> float:
    """Order of attempts: what has no score stands below what failed; it may be anything."""
    return -1.0 if attempt.reward.value is None else attempt.reward.value


class Refiner:
    """The loop of test-time scaling: y(t+1) ~ policy(x, y(t), critique(t)) while r is below a threshold.

    Args:
      policy: writes and revises code.
      erm: judges.
      pool: renders.
      prompts: prompt set of the policy; its own setting if None.
      rounds: revisions at most.
      threshold: a reward at which nothing is revised any more; 2.0 is rendering plus an empty critique.
      min_gain: reward by which a revision must beat what is kept so far, so that a judge's noise replaces nothing.
      scoring: turns critiques into rewards; the normaliser must be fixed, one picture has no batch.
      sampling: of drafts and revisions.
      max_new_tokens: longest answer.
      rows: pictures worked on at once.
    """

    def __init__(
        self,
        policy: LanguageModel,
        erm: VisualERM,
        pool: RenderPool,
        *,
        prompts: str | None = None,
        rounds: int = 3,
        threshold: float = 2.0,
        scoring: Scoring | None = None,
        sampling: Sampling | None = None,
        min_gain: float = 0.0,
        max_new_tokens: int | None = None,
        rows: int | None = None,
    ):
        self.policy, self.erm, self.pool = policy, erm, pool
        self.prompts = Prompts(prompts or policy.settings.get("prompts", "full"))
        self.rounds, self.threshold, self.min_gain = rounds, threshold, min_gain
        self.scoring = scoring or Scoring(normaliser="fixed")
        self.sampling = sampling or Sampling(0.0)
        self.max_new_tokens = max_new_tokens or policy.settings.get("max_new_tokens", 4096)
        self.rows = rows

    def refine(self, pictures: Sequence[tuple[Task, Any]], *, seed: int = 0) -> list[Refinement]:
        """Drafts and revises every picture.

        Args:
          pictures: (task, uint8[H, W, 3]).
          seed: of sampling, where there is any.
        """
        results = [Refinement(task, np.asarray(image), min_gain=self.min_gain) for task, image in pictures]
        for round_ in range(self.rounds + 1):
            open_ = [r for r in results if not r.rounds or _worth(r.best) < self.threshold]
            if not open_:
                break
            generated = self.policy.answer(
                [self.policy.processor.sample(self._messages(result)) for result in open_],
                # Greedily, a revision that did not help would be made again word for word.
                self.sampling if round_ == 0 or self.sampling.temperature > 0 else Sampling(0.3),
                max_new_tokens=self.max_new_tokens,
                seed=seed + round_,
                rows=self.rows,
            )
            answers = [
                (result.task, result.reference, text)
                for result, text in zip(open_, self.policy.text(generated), strict=True)
            ]
            judged = score_attempts(answers, self.pool, self.erm, self.scoring, seed=seed + round_)
            for result, attempt in zip(open_, judged, strict=True):
                result.rounds.append(attempt)
        return results

    def _messages(self, result: Refinement) -> list[dict[str, Any]]:
        """A revision of the best attempt so far if there is one with a critique, else a new draft."""
        critiqued = [a for a in result.rounds if a.code is not None and isinstance(a.critique, Critique)]
        if not critiqued:
            return self.prompts.code(result.task, result.reference)
        best = result.best if any(result.best is attempt for attempt in critiqued) else max(critiqued, key=_worth)
        return self.prompts.revise(result.task, result.reference, best.code, best.critique)
