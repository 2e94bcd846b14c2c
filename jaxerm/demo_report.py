"""The demo's report: what a person looks at when it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxerm.critique import Critique
from jaxerm.data.pairs import Pair
from jaxerm.recipe import GrpoRecipe
from jaxerm.refine import Refinement as Refined
from jaxerm.report import (
    Curves,
    Figures,
    PairGallery,
    Refinement,
    Rollout,
    RolloutGallery,
    Round,
    write_report,
)
from jaxerm.report import Pair as ShownPair
from jaxerm.rewards.attempts import Attempt
from jaxerm.runs import read_metrics

_GALLERY = 10


def _series(run: Path, names: tuple[str, ...]) -> dict[str, tuple[list[int], list[float]]]:
    rows = read_metrics(run)
    return {name: ([row["step"] for row in rows], [row.get(name) for row in rows]) for name in names}


def _code(attempt: Attempt) -> str:
    return attempt.code if attempt.code is not None else attempt.text


def _said(attempt: Attempt) -> Any:
    return attempt.critique if attempt.critique is not None else attempt.reward.reason


def shown_refinement(refined: list[Refined]) -> Refined:
    """The first whose revision was kept; the first of all if there is none."""
    return next((result for result in refined if result.kept > 0), refined[0])


def write_demo_report(
    out: Path,
    summary: dict[str, Any],
    pairs: list[Pair],
    critiques: list[Critique | None],
    last_step: dict[str, Any],
    refined: list[Refined],
    recipe: GrpoRecipe,
) -> Path:
    """Writes ``report.html`` into `out`.

    Args:
      out: folder of the demo, with its runs.
      summary: of the demo.
      pairs, critiques: held-out drawings and what the reward model wrote of them.
      last_step: attempts and advantages of GRPO's last step.
      refined: all refinements.
      recipe: of GRPO.
    """
    sources = summary["reward_model_sft"]["by_source"]
    columns = [
        "held-out pairs of",
        "n",
        "F1 before",
        "F1 after",
        "severity r before",
        "severity r after",
        "exact after",
    ]
    rows = [
        [
            name,
            both["after"]["n"],
            both["before"]["f1"],
            both["after"]["f1"],
            both["before"]["severity_correlation"],
            both["after"]["severity_correlation"],
            both["after"]["exact"],
        ]
        for name, both in sources.items()
    ]
    gallery = [
        ShownPair(pair.reference, pair.prediction, "unreadable" if said is None else said, pair.critique, pair.id)
        for pair, said in list(zip(pairs, critiques, strict=True))[:_GALLERY]
    ]
    group = last_step["attempts"][: recipe.rollouts]
    rollouts = [
        Rollout(a.image, _code(a), a.reward.value, float(advantage), a.reward.reason)
        for a, advantage in zip(group, last_step["advantages"], strict=False)
    ]
    shown = shown_refinement(refined)
    rounds = [Round(a.image, _code(a), _said(a), a.reward.value) for a in shown.rounds]
    improved = sum(result.kept > 0 for result in refined)
    sections = [
        Curves("Reward model SFT", _series(out / "erm_sft", ("loss",)), "nats a token of the critique"),
        Figures(
            "Reward model on held-out pairs",
            columns,
            rows,
            "An error is found if category and location are right (tables: category). Before: tiny-base, which has "
            "never seen a critique and writes none that can be read.",
        ),
        PairGallery(
            "Reference, attempt, critique", gallery, f"The first {len(gallery)} held-out pairs; truth is the ledger."
        ),
        Curves("Policy SFT", _series(out / "policy_sft", ("loss",)), "nats a token of the answer"),
        Curves(
            "GRPO",
            _series(out / "grpo", ("reward", "render_rate", "severity", "kl")),
            "reward = render success + clip(1 - S / max S); means over the rollouts of a step",
            separate=True,
        ),
        RolloutGallery(
            "Eight rollouts of one prompt", group[0].reference, rollouts, "svg: write the code", "of GRPO's last step"
        ),
        Refinement(
            "One refinement",
            shown.reference,
            rounds,
            f"The first of {len(refined)} in which a revision was kept; that happened {improved} times.",
            shown.kept,
        ),
    ]
    return write_report(out / "report.html", "jaxerm: the loop, end to end", summary, sections)
