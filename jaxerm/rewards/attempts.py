"""From the text of a policy to its rewards: extract the code, render it, have it judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxerm.critique import Critique, CritiqueError, Task
from jaxerm.render import RenderPool, RenderResult, extract_code
from jaxerm.rewards.result import RewardResult, failed, scored, unscored
from jaxerm.rewards.visual_erm import VisualERM, severity_rewards


@dataclass(frozen=True)
class Attempt:
    """One answer of a policy, rendered and judged.

    Attributes:
      task: what was asked for.
      reference: uint8[H, W, 3].
      text: what the policy wrote.
      code: what of it is code, or None.
      image: uint8[H, W, 3] if it rendered.
      critique: of the reward model, if there was something to judge and it could be read.
      reward: the result.
    """

    task: Task
    reference: np.ndarray
    text: str
    code: str | None
    image: np.ndarray | None
    critique: Critique | None
    reward: RewardResult


@dataclass(frozen=True)
class Scoring:
    """How critiques become rewards; see `severity_rewards`."""

    normaliser: str = "batch_max"
    fixed: float = 50.0
    render_weight: float = 1.0


def score_attempts(
    answers: Sequence[tuple[Task, np.ndarray, str]],
    pool: RenderPool,
    erm: VisualERM,
    scoring: Scoring,
    *,
    seed: int = 0,
    length: int | None = None,
    patches: int | None = None,
) -> list[Attempt]:
    """Renders and judges answers, in order.

    Args:
      answers: (task, reference image, text of the policy).
      pool: renders.
      erm: judges.
      scoring: turns critiques into numbers.
      seed: of the reward model's sampling.
      length, patches: static shape of the reward model's prompts.
    """
    codes = [extract_code(text, task) for task, _, text in answers]
    futures = [
        pool.submit(task, code) if code is not None else None for (task, _, _), code in zip(answers, codes, strict=True)
    ]
    renders: list[RenderResult | None] = [future.result() if future is not None else None for future in futures]
    judged = [i for i, render in enumerate(renders) if render is not None and render.ok]
    critiques: dict[int, Critique | CritiqueError] = {}
    if judged:
        pairs = [(answers[i][0], answers[i][1], renders[i].image) for i in judged]
        critiques = dict(zip(judged, erm.critiques(pairs, seed=seed, length=length, patches=patches), strict=True))
    severities = [
        float(c.severity) if isinstance(c := critiques.get(i), Critique) else None for i in range(len(answers))
    ]
    rewards = severity_rewards(
        severities,
        [task for task, _, _ in answers],
        normaliser=scoring.normaliser,
        fixed=scoring.fixed,
        render_weight=scoring.render_weight,
    )
    out = []
    for i, (task, reference, text) in enumerate(answers):
        render, critique = renders[i], critiques.get(i)
        if render is None:
            reward = failed("no code in the answer")
        elif not render.ok:
            reason = f"{render.error.kind}: {render.error.text}"
            reward = unscored(reason) if render.fault == "host" else failed(reason)
        elif isinstance(critique, Critique):
            value = rewards[i]
            reward = scored(value, render=scoring.render_weight, critique=value - scoring.render_weight)
        else:
            reward = unscored(f"unreadable critique: {critique}")
        out.append(
            Attempt(
                task,
                reference,
                text,
                codes[i],
                render.image if render is not None and render.ok else None,
                critique if isinstance(critique, Critique) else None,
                reward,
            )
        )
    return out
