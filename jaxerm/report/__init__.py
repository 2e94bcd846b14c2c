"""One self-contained HTML page about a run: curves, pairs with their critiques, rollouts, refinements, figures."""

from jaxerm.report.page import render_report, write_report
from jaxerm.report.rollouts import rollout_sections, write_rollouts_page
from jaxerm.report.run import run_report
from jaxerm.report.sections import (
    Curves,
    Figures,
    Listing,
    Pair,
    PairGallery,
    Refinement,
    Rollout,
    RolloutGallery,
    Round,
    Section,
    TimeLine,
)

__all__ = [
    "Curves", "Figures", "Listing", "Pair", "PairGallery", "Refinement", "Rollout", "RolloutGallery", "Round",
    "Section", "TimeLine", "render_report", "rollout_sections", "run_report", "write_report", "write_rollouts_page",
]  # fmt: skip
