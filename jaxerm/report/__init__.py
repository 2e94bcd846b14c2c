"""One self-contained HTML page about a run: curves, pairs with their critiques, rollouts, refinements, figures."""

from jaxerm.report.page import render_report, run_curves, run_report, write_report
from jaxerm.report.sections import (
    Curves,
    Figures,
    Pair,
    PairGallery,
    Refinement,
    Rollout,
    RolloutGallery,
    Round,
    Section,
)

__all__ = [
    "Curves", "Figures", "Pair", "PairGallery", "Refinement", "Rollout", "RolloutGallery", "Round", "Section",
    "render_report", "run_curves", "run_report", "write_report",
]  # fmt: skip
