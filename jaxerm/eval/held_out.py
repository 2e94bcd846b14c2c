"""What a reward model finds in held-out pairs, measured while it trains."""

from __future__ import annotations

from jaxerm.critique import Critique
from jaxerm.data.pairs import BrokenSample, PairMaker
from jaxerm.data.rewardbench import BenchItem
from jaxerm.data.sources import open_source
from jaxerm.eval.judge import LocalJudge
from jaxerm.eval.vc_rewardbench import bench_scores, judge_items
from jaxerm.models.language import LanguageModel
from jaxerm.recipe import SftRecipe
from jaxerm.render import RenderPool
from jaxerm.rewards.visual_erm import VisualERM


class HeldOutCritiques:
    """The first pairs of the recipe's `evaluation`, the same ones every time; parts of role ``critique`` alone.

    Args:
      recipe: has an `evaluation`.
    """

    def __init__(self, recipe: SftRecipe):
        self.recipe = recipe
        self._items: list[BenchItem] | None = None

    def __call__(self, model: LanguageModel, pool: RenderPool) -> dict[str, float]:
        """Writes a greedy critique of each pair and has the local judge match it.

        Returns:
          ``f1`` (a partial match counts as none), ``f1_soft``, ``severity_correlation`` (0 where nothing varies) and
          ``readable``, share of critiques that could be read; nothing where the recipe holds no such pairs.
        """
        if self._items is None:
            self._items = self._make(pool)
        items = self._items
        if not items:
            return {}
        recipe = self.recipe
        erm = VisualERM(model, prompts=recipe.prompts, max_new_tokens=recipe.max_new_tokens, retries=0, rows=16)
        found = erm.critiques([(item.task, item.reference, item.prediction) for item in items])
        critiques = [critique if isinstance(critique, Critique) else None for critique in found]
        pooled = bench_scores(judge_items(items, critiques, LocalJudge()))["pooled"]
        return {
            "f1": pooled["f1_hard"],
            "f1_soft": pooled["f1_soft"],
            "severity_correlation": pooled["severity_correlation"] or 0.0,
            "readable": 1 - pooled["unreadable"] / len(items),
        }

    def _make(self, pool: RenderPool) -> list[BenchItem]:
        plan, data = self.recipe.evaluation, self.recipe.data
        parts = [part for part in plan.mixture if part.role == "critique"]
        items = []
        for number, part in enumerate(parts):
            maker = PairMaker(
                open_source(part.source, **part.options),
                pool,
                seed=self.recipe.seed,
                max_edits=part.max_edits or data.max_edits,
                clean_share=data.clean_share,
            )
            index, wanted = 0, len(items) + plan.pairs // len(parts) + (number < plan.pairs % len(parts))
            while len(items) < wanted:
                try:
                    pair = maker.make(index)
                    name = f"{number}-{index}"
                    items.append(BenchItem(name, pair.task, pair.reference, pair.prediction, pair.critique))
                except BrokenSample:
                    if index > 20 * plan.pairs:
                        raise
                index += 1
        return items
