"""The rewards a recipe names, with the reward model they ask."""

from __future__ import annotations

from jaxerm.data.chat import Chat
from jaxerm.models.sampler import Sampling
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderPool
from jaxerm.rewards.registry import make_parts
from jaxerm.rewards.remote import RemoteERM
from jaxerm.rewards.scorer import Scorer
from jaxerm.rewards.severity import Judge, SeverityReward
from jaxerm.rewards.visual_erm import VisualERM
from jaxerm.train.start import load_for


def make_judge(recipe: GrpoRecipe) -> Judge:
    """The reward model of a recipe.

    Raises:
      FileNotFoundError, ValueError: see `load`.
      ChatError: nobody answers at the address, where the model's name has to be asked for.
    """
    reward = recipe.reward
    if reward.url is not None:
        chat = Chat(reward.url, reward.model, timeout_s=reward.timeout_s, retries=reward.retries)
        return RemoteERM(
            chat,
            prompts=reward.prompts or "full",
            max_new_tokens=reward.max_new_tokens,
            retries=reward.retries,
            threads=reward.rows,
            temperature=reward.temperature,
            top_p=reward.top_p,
            **({"top_k": reward.top_k} if reward.top_k else {}),
        )
    return VisualERM(
        load_for(recipe, reward.model, "reward"),
        prompts=reward.prompts,
        sampling=Sampling(reward.temperature, reward.top_p, reward.top_k),
        max_new_tokens=reward.max_new_tokens,
        retries=reward.retries,
        rows=reward.rows,
    )


def make_scorer(recipe: GrpoRecipe, pool: RenderPool, judge: Judge | None = None) -> Scorer:
    """What scores the answers of a run.

    Args:
      recipe: names the rewards.
      pool: renders.
      judge: the reward model, instead of opening the recipe's.

    Raises:
      FileNotFoundError, ValueError: a reward that does not exist, or cannot be opened.
    """

    def visual_erm() -> SeverityReward:
        reward = recipe.reward
        return SeverityReward(
            judge if judge is not None else make_judge(recipe),
            normaliser=reward.normaliser,
            fixed=reward.fixed,
            length=reward.max_prompt_length,
            patches=reward.max_patches,
        )

    return Scorer(pool, make_parts(recipe.rewards, visual_erm=visual_erm))
