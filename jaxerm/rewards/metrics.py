"""What the rewards of attempts come to: of a step, under the names of the field, and of held-out ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.pixel import ink_overlap


def reward_metrics(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Means over the attempts of a step.

    Returns:
      ``rewards/NAME/mean`` and ``rewards/NAME/std`` of every part, before its weight, over the attempts it has a value
      for; ``render_rate``; ``severity``, of those that were judged; ``unscored`` and ``failed``, how many there are.
    """
    values: dict[str, list[float]] = {}
    for attempt in attempts:
        for name, value in attempt.reward.parts.items():
            values.setdefault(name, []).append(value)
    metrics = {}
    for name, all_ in sorted(values.items()):
        metrics[f"rewards/{name}/mean"] = float(np.mean(all_))
        metrics[f"rewards/{name}/std"] = float(np.std(all_))
    severities = [attempt.critique.severity for attempt in attempts if attempt.critique is not None]
    return {
        **metrics,
        "render_rate": float(np.mean([attempt.image is not None for attempt in attempts])),
        "severity": float(np.mean(severities)) if severities else float("nan"),
        "unscored": sum(attempt.reward.status == "unscored" for attempt in attempts),
        "failed": sum(attempt.reward.status == "failed" for attempt in attempts),
    }


def attempt_scores(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Means over judged attempts.

    Returns:
      ``reward`` over all that have a score (failed ones count 0); ``rendered``, share that renders; ``ink_overlap``
      with the reference, 0 where nothing rendered; ``unscored``, how many have no score; ``n``.
    """
    values = [attempt.reward.value for attempt in attempts if attempt.reward.value is not None]
    overlaps = [0.0 if a.image is None else ink_overlap(a.reference, a.image) for a in attempts]
    return {
        "reward": float(np.mean(values)) if values else 0.0,
        "rendered": float(np.mean([attempt.image is not None for attempt in attempts])),
        "ink_overlap": float(np.mean(overlaps)),
        "unscored": sum(attempt.reward.value is None for attempt in attempts),
        "n": len(attempts),
    }
