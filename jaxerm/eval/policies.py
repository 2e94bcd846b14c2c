"""How good a policy is on pictures it has not seen: what renders, what the reward model says, what the pixels say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.pixel import ink_overlap


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
