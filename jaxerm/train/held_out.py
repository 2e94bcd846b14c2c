"""A policy measured on prompts it does not learn from, while it learns."""

from __future__ import annotations

from typing import Any

from jaxerm.models.language import LanguageModel
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderPool
from jaxerm.rewards.metrics import attempt_scores
from jaxerm.rewards.severity import Judge
from jaxerm.train.collect import Collector
from jaxerm.train.scoring import make_scorer


class HeldOutPolicy:
    """The first prompts of the recipe's `evaluation`, answered as in training, the same ones every time.

    Rewards must not depend on what else is in a batch: severities are divided by `reward.fixed` whatever training does.

    Args:
      recipe: has an `evaluation`.
      policy: definition and processor, as the sampler sees it.
      pool: renders.
      judge: the reward model, if the recipe's rewards ask one.
    """

    def __init__(self, recipe: GrpoRecipe, policy: LanguageModel, pool: RenderPool, judge: Judge | None):
        plan = recipe.evaluation
        changed: dict[str, Any] = {"data": recipe.data.model_copy(update={"mixture": plan.mixture}), "max_refills": 0}
        if recipe.reward is not None:
            changed["reward"] = recipe.reward.model_copy(update={"normaliser": "fixed"})
        recipe = recipe.model_copy(update=changed)
        self.collector = Collector(recipe, policy, make_scorer(recipe, pool, judge))
        self.rounds = -(-plan.prompts // recipe.prompts_per_step)

    def __call__(self, params: Any) -> dict[str, float]:
        """``eval_`` and a name of `attempt_scores`, each; answers are drawn with the same seeds every time.

        Args:
          params: of the policy now.
        """
        cursor, attempts = 0, []
        for number in range(self.rounds):
            collected = self.collector.collect(number, params, cursor)
            cursor = collected.cursor
            attempts += collected.attempts
        return {f"eval_{name}": value for name, value in attempt_scores(attempts).items()}
