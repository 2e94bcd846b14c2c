"""How good critiques are, where the truth is known: F1 of what was found, correlation of severities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from jaxerm.critique import Critique
from jaxerm.data.pairs import Pair
from jaxerm.rewards.visual_erm import VisualERM


def critique_scores(predicted: Sequence[Critique | None], truth: Sequence[Critique]) -> dict[str, float]:
    """Compares critiques with the ledger.

    A discrepancy is found if one of the same category and location is predicted (tables have no location: category
    alone); matching is one to one, counts are pooled over all pairs.

    Args:
      predicted: None where nothing readable was written: it counts as having found nothing, with severity 0.
      truth: of the same pairs.

    Returns:
      ``f1``, ``precision``, ``recall``; ``severity_correlation``, Pearson's r of the severity sums, 0 where either does
      not vary; ``exact``, share of pairs whose categories, locations and severities are all right; ``readable``; ``n``.
    """
    hits = wrong = missed = exact = 0
    for guess, real in zip(predicted, truth, strict=True):
        found = Counter((e.category, e.location) for e in guess.errors) if guess else Counter()
        there = Counter((e.category, e.location) for e in real.errors)
        both = sum((found & there).values())
        hits += both
        wrong += sum(found.values()) - both
        missed += sum(there.values()) - both
        exact += guess is not None and Counter((e.category, e.location, e.severity) for e in guess.errors) == Counter(
            (e.category, e.location, e.severity) for e in real.errors
        )
    guesses = np.array([guess.severity if guess else 0 for guess in predicted], float)
    reals = np.array([real.severity for real in truth], float)
    varies = len(truth) > 1 and guesses.std() > 0 and reals.std() > 0
    return {
        "f1": 2 * hits / max(2 * hits + wrong + missed, 1),
        "precision": hits / max(hits + wrong, 1),
        "recall": hits / max(hits + missed, 1),
        "severity_correlation": float(np.corrcoef(guesses, reals)[0, 1]) if varies else 0.0,
        "exact": exact / max(len(truth), 1),
        "readable": float(np.mean([guess is not None for guess in predicted])) if truth else 0.0,
        "n": len(truth),
    }


def judge_pairs(erm: VisualERM, pairs: Sequence[Pair], *, seed: int = 0) -> list[Critique | None]:
    """The reward model's critique of each pair; None where it could not be read."""
    results = erm.critiques([(pair.task, pair.reference, pair.prediction) for pair in pairs], seed=seed)
    return [result if isinstance(result, Critique) else None for result in results]
