"""The reward `visual_erm`: what the reward model's critique of an attempt comes to, Visual-ERM eqs. 3-5."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from jaxerm.critique import Critique, CritiqueError, Task
from jaxerm.render import RenderPool
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.code import RenderSuccess
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, failed, scored, unscored
from jaxerm.rewards.scorer import Part, Scorer

MAX_ASPECT = 200
"""Longest side over shortest that the image processor of Qwen-VL models takes."""
Normaliser = Literal["batch_max", "fixed"]


class Judge(Protocol):
    """A reward model, on the mesh (`VisualERM`) or behind an address (`RemoteERM`)."""

    def critiques(
        self, pairs: Sequence[tuple[Task, Any, Any]], *, seed: int, length: int | None, patches: int | None
    ) -> Sequence[Critique | Exception]:
        """A critique of each (task, reference, attempt), or why there is none."""
        ...


class SeverityReward(Reward):
    """r = clip(1 - S / N, 0, 1), with S the sum of the severities the reward model finds (Visual-ERM, eqs. 3-5).

    S is measured attempt by attempt. N is the largest S of the task in the whole batch (paper, ``batch_max``) or a
    constant (reference code, ``fixed``: 50), and enters when the batch is settled: until then a result is worth -S. An
    attempt without a readable critique is unscored.

    Args:
      judge: the reward model.
      normaliser, fixed: N.
      length, patches: static shape of the reward model's prompts.
    """

    name = "visual_erm"

    def __init__(
        self,
        judge: Judge,
        *,
        normaliser: Normaliser = "batch_max",
        fixed: float = 50.0,
        length: int | None = None,
        patches: int | None = None,
    ):
        self.judge, self.normaliser, self.fixed = judge, normaliser, fixed
        self.length, self.patches = length, patches
        self.on_mesh = getattr(judge, "on_mesh", True)

    def key(self, attempt: Attempt) -> Hashable:
        return attempt.pair

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        results = [attempt.unrendered or _unseen(attempt) for attempt in attempts]
        open_ = [place for place, result in enumerate(results) if result is None]
        if open_:
            pairs = [(attempts[i].task, attempts[i].reference, attempts[i].image) for i in open_]
            found = self.judge.critiques(pairs, seed=seed, length=self.length, patches=self.patches)
            for place, critique in zip(open_, found, strict=True):
                if isinstance(critique, Critique):
                    results[place] = scored(-critique.severity, critique)
                else:
                    unreadable = "unreadable critique: " if isinstance(critique, CritiqueError) else ""
                    results[place] = unscored(f"{unreadable}{critique}")
        return results

    def settle(self, attempts: Sequence[Attempt], results: Sequence[RewardResult]) -> list[RewardResult]:
        severities = [None if r.status != "scored" else float(r.critique.severity) for r in results]
        values = severity_rewards(
            severities,
            [attempt.task for attempt in attempts],
            normaliser=self.normaliser,
            fixed=self.fixed,
            render_weight=0.0,
        )
        return [
            result if value is None else replace(result, value=value)
            for result, value in zip(results, values, strict=True)
        ]


def severity_rewards(
    severities: Sequence[float | None],
    tasks: Sequence[str],
    *,
    normaliser: str = "batch_max",
    fixed: float = 50.0,
    render_weight: float = 1.0,
    epsilon: float = 1e-6,
) -> list[float | None]:
    """Visual-ERM, eqs. 3-5: r = r_rsr + clip(1 - S / normaliser, 0, 1) of attempts that rendered.

    Args:
      severities: S of each attempt, the sum of its severities; None where there is none.
      tasks: of each attempt; the paper normalises within the attempts of one task.
      normaliser: ``batch_max``, the largest S of the task in the batch (paper), or ``fixed`` (reference code: 50).
      fixed: for ``fixed``.
      render_weight: r_rsr, what rendering alone is worth.
      epsilon: keeps a batch without any error from dividing by zero.

    Returns:
      A reward, or None where there was no severity.
    """
    largest: dict[str, float] = {}
    for severity, task in zip(severities, tasks, strict=True):
        if severity is not None:
            largest[task] = max(largest.get(task, 0.0), severity)
    rewards: list[float | None] = []
    for severity, task in zip(severities, tasks, strict=True):
        if severity is None:
            rewards.append(None)
            continue
        scale = fixed if normaliser == "fixed" else largest[task] + epsilon
        rewards.append(render_weight + min(max(1.0 - severity / scale, 0.0), 1.0))
    return rewards


def _unseen(attempt: Attempt) -> RewardResult | None:
    """Failed for an image so narrow that no Qwen-VL takes it; None for one that can be looked at."""
    height, width = attempt.image.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        return failed(f"the render has {height} x {width} pixels: one side is over {MAX_ASPECT} times the other")
    return None


@dataclass(frozen=True)
class Scoring:
    """How critiques become rewards where Visual-ERM's own two terms are all there is; see `severity_rewards`."""

    normaliser: Normaliser = "batch_max"
    fixed: float = 50.0
    render_weight: float = 1.0


def score_attempts(
    answers: Sequence[tuple[Task, np.ndarray, str]],
    pool: RenderPool,
    judge: Judge,
    scoring: Scoring,
    *,
    seed: int = 0,
    length: int | None = None,
    patches: int | None = None,
) -> list[Attempt]:
    """Scores answers by Visual-ERM's own reward, r_rsr + clip(1 - S / N, 0, 1), in order.

    Args:
      answers: (task, reference image, text of the policy).
      pool: renders.
      judge: the reward model.
      scoring: turns critiques into numbers.
      seed: of the reward model's sampling.
      length, patches: static shape of the reward model's prompts.
    """
    severity = SeverityReward(judge, normaliser=scoring.normaliser, fixed=scoring.fixed, length=length, patches=patches)
    scorer = Scorer(pool, [Part(severity), Part(RenderSuccess(), scoring.render_weight)])
    return scorer.score([Attempt(task, reference, text) for task, reference, text in answers], seed)
