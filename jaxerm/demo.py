"""The whole loop, small: a reward model learns to criticise, a policy improves under its reward, revisions repair.

Every part is the one that trains the large models; only the recipes (``configs/tiny_*.yaml``) are small.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from jaxerm.critique import Critique
from jaxerm.data.natural.routes import DrawingShapes, natural_pairs
from jaxerm.data.pair_files import write_pairs
from jaxerm.data.pairs import Pair, PairMaker
from jaxerm.data.sources import open_source
from jaxerm.demo_report import write_demo_report
from jaxerm.eval.critiques import critique_scores
from jaxerm.models.language import LanguageModel, load
from jaxerm.models.sampler import Sampling
from jaxerm.paths import shipped_model
from jaxerm.prompts import Prompts
from jaxerm.recipe import GrpoRecipe, load_recipe
from jaxerm.recipe_schema import Mix
from jaxerm.refine import Refinement, Refiner
from jaxerm.render import RenderOptions, RenderPool
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.metrics import attempt_scores
from jaxerm.rewards.severity import Scoring, score_attempts
from jaxerm.rewards.visual_erm import VisualERM
from jaxerm.train.grpo import run_grpo
from jaxerm.train.natural import sample_attempts
from jaxerm.train.rollouts import sample_rollouts
from jaxerm.train.sft import run_sft

_HELD_OUT_SEED = 9_001
"""Of drawings and corruptions no recipe draws from."""
_PAIRS = {"drawings": 128, "icons": 32, "tables": 32, "charts": 16}
_HELD_OUT: dict[str, dict[str, Any]] = {
    "icons": {"max_code_chars": 300, "n": 100},
    "tables": {"seed": _HELD_OUT_SEED},
    "charts": {"seed": _HELD_OUT_SEED},
}
_REFINED = 64
_PROMPTS = 16
_ATTEMPTED = 96
"""Drawings the policy attempts, four times each, so that the reward model learns from its mistakes too."""
_ATTEMPTS_WEIGHT = 0.35
"""Share of those attempts in what the reward model learns from, against 1 for all its recipe names."""


def _held_out_drawings(lot: int = 0) -> dict[str, Any]:
    """Options of drawings that no recipe draws; the base has seen none of four shapes."""
    return {"max_shapes": 4, "min_shapes": 3, "seed": _HELD_OUT_SEED + lot}


@dataclass
class Demo:
    """One run of the demo and what it has found so far."""

    out: Path
    seed: int
    quiet: bool
    console: Console = field(default_factory=Console)
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, title: str):
        """Says what is going on and keeps the time it took."""
        if not self.quiet:
            self.console.print(f"\n[bold]{title}[/bold]")
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(f"  {text}", highlight=False)

    def recipe(self, name: str, **overrides: Any) -> Any:
        settings = {"seed": self.seed, "out": str(self.out / name.removeprefix("tiny_")), **overrides}
        return load_recipe(name, [f"{key}={value}" for key, value in settings.items()])


def held_out_pairs(pool: RenderPool) -> dict[str, list[Pair]]:
    """Pairs of each source that no recipe trains on: other drawings, and corruptions of other seeds."""
    out = {}
    for name, count in _PAIRS.items():
        options = _held_out_drawings() if name == "drawings" else _HELD_OUT[name]
        source = open_source(name, **options)
        maker = PairMaker(source, pool, seed=_HELD_OUT_SEED, max_edits=3, clean_share=0.15)
        out[name] = [maker.make(index) for index in range(count)]
    return out


def drawing_attempts(
    policy: LanguageModel, source: dict[str, Any], n: int, pool: RenderPool, recipe: GrpoRecipe, seed: int
) -> list[Pair]:
    """Four sampled answers to each of the first `n` drawings, with the critiques that comparing programs gives."""
    attempts = sample_attempts(
        policy,
        open_source("drawings", **source),
        range(n),
        pool,
        Prompts(recipe.prompts),
        n=4,
        max_new_tokens=recipe.max_new_tokens,
        length=recipe.max_prompt_length,
        patches=recipe.max_patches,
        seed=seed,
        rows=16,
    )
    return list(natural_pairs(attempts, DrawingShapes()))


def judge(erm: VisualERM, pairs: dict[str, list[Pair]], recipe: GrpoRecipe) -> dict[str, list[Critique | None]]:
    """The reward model's critiques of all pairs, in the shape GRPO asks for them."""
    flat = [pair for group in pairs.values() for pair in group]
    results = erm.critiques(
        [(pair.task, pair.reference, pair.prediction) for pair in flat],
        length=recipe.reward.max_prompt_length,
        patches=recipe.reward.max_patches,
    )
    read = iter(result if isinstance(result, Critique) else None for result in results)
    return {name: [next(read) for _ in group] for name, group in pairs.items()}


def scores_of(critiques: dict[str, list[Critique | None]], pairs: dict[str, list[Pair]]) -> dict[str, dict[str, float]]:
    """`critique_scores` of each source."""
    return {name: critique_scores(critiques[name], [pair.critique for pair in pairs[name]]) for name in pairs}


def evaluate_policy(
    policy: LanguageModel, erm: VisualERM, pool: RenderPool, recipe: GrpoRecipe, scoring: Scoring, seed: int
) -> tuple[dict[str, float], list[Attempt]]:
    """Samples the policy on held-out drawings as GRPO does, and scores what it writes."""
    source = open_source("drawings", **_held_out_drawings())
    programs = [source[index] for index in range(_PROMPTS)]
    pictures = [(p.task, pool.render(p.task, p.code).image) for p in programs]
    rollouts = sample_rollouts(
        policy,
        policy.params,
        pictures,
        Prompts(recipe.prompts),
        Sampling(recipe.temperature, recipe.top_p, recipe.top_k),
        n=recipe.rollouts,
        max_new_tokens=recipe.max_new_tokens,
        length=recipe.max_prompt_length,
        patches=recipe.max_patches,
        seed=seed,
        rows=recipe.prompts_per_step,
    )
    answers = [(*pictures[row // recipe.rollouts], text) for row, text in enumerate(rollouts.texts)]
    attempts = score_attempts(
        answers,
        pool,
        erm,
        scoring,
        length=recipe.reward.max_prompt_length,
        patches=recipe.reward.max_patches,
    )
    return attempt_scores(attempts), attempts


def refine_drawings(
    policy: LanguageModel, erm: VisualERM, pool: RenderPool, scoring: Scoring, recipe: GrpoRecipe, seed: int
) -> tuple[list[Refinement], dict[str, float], dict[str, float]]:
    """Refines held-out drawings; what was done, and the scores of the drafts and of what was kept."""
    source = open_source("drawings", **_held_out_drawings(1))
    programs = [source[index] for index in range(_REFINED)]
    pictures = [(p.task, pool.render(p.task, p.code).image) for p in programs]
    # More than one minor error: what the judge says of the same picture twice may differ by that much.
    gain = 1.5 / scoring.fixed
    refiner = Refiner(policy, erm, pool, scoring=scoring, min_gain=gain, max_new_tokens=recipe.max_new_tokens, rows=32)
    refined = refiner.refine(pictures, seed=seed)
    drafts, kept = [result.rounds[0] for result in refined], [result.best for result in refined]
    return refined, attempt_scores(drafts), attempt_scores(kept)


def judge_of(model: LanguageModel, recipe: GrpoRecipe, retries: int | None = None) -> VisualERM:
    """A reward model that is asked as GRPO asks it."""
    reward = recipe.reward
    return VisualERM(
        model,
        prompts=recipe.prompts,
        sampling=Sampling(reward.temperature, reward.top_p, reward.top_k),
        max_new_tokens=reward.max_new_tokens,
        retries=reward.retries if retries is None else retries,
        rows=reward.rows,
    )


def scoring_of(recipe: GrpoRecipe) -> Scoring:
    """Rewards that do not depend on what else is in the batch, to compare by."""
    return Scoring(normaliser="fixed", fixed=recipe.reward.fixed)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


def run_demo(
    out: str | Path = "runs/demo", *, seed: int = 0, base: str | Path | None = None, quiet: bool = False
) -> Path:
    """Runs everything and writes ``summary.json`` and ``report.html``.

    Args:
      out: folder of the demo; an earlier demo there is overwritten.
      seed: of training and sampling. What is held out is the same for all seeds.
      base: model directory to start from; ``models/tiny-base`` if None.
      quiet: print nothing.

    Returns:
      The path of the report.
    """
    demo = Demo(Path(out), seed, quiet)
    demo.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    base_model = load(base or shipped_model("tiny-base"))
    own = {"policy": demo.out / "policy_sft" / "model", "reward.model": demo.out / "erm_sft" / "model"}
    grpo = demo.recipe("tiny_svg_grpo", out=demo.out / "grpo", **own)
    scoring = scoring_of(grpo)

    with RenderPool(grpo.data.workers, options=RenderOptions(**grpo.render)) as pool:
        with demo.phase("policy_sft", "1. A policy learns to answer with code"):
            policy_sft = demo.recipe("tiny_policy_sft")
            start = run_sft(policy_sft, model=base_model, pool=pool, overwrite=True, quiet=quiet)

        with demo.phase("reward_model_sft", "2. A reward model learns to criticise images"):
            pairs = held_out_pairs(pool)
            pairs["attempts"] = drawing_attempts(start, _held_out_drawings(2), 16, pool, grpo, seed)
            attempts = drawing_attempts(
                start, {"max_shapes": 4, "min_shapes": 3, "seed": 100 + seed}, _ATTEMPTED, pool, grpo, seed
            )
            write_pairs(attempts, demo.out / "attempts")
            demo.say(f"{len(attempts)} attempts of the policy, compared with their references, are learned from too")
            before = scores_of(judge(judge_of(base_model, grpo, retries=0), pairs, grpo), pairs)
            demo.say(
                f"before: F1 {before['drawings']['f1']:.3f} on {len(pairs['drawings'])} held-out pairs of drawings"
            )
            sft = demo.recipe("tiny_erm_sft")
            natural = Mix(source=str(demo.out / "attempts"), role="critique", weight=_ATTEMPTS_WEIGHT)
            sft = sft.model_copy(update={"data": sft.data.model_copy(update={"mixture": [*sft.data.mixture, natural]})})
            erm = judge_of(run_sft(sft, model=base_model, pool=pool, overwrite=True, quiet=quiet), grpo)
            critiques = judge(erm, pairs, grpo)
            after = scores_of(critiques, pairs)
            demo.say(
                f"after:  F1 {after['drawings']['f1']:.3f}, severity correlation "
                f"{after['drawings']['severity_correlation']:.3f}"
            )
        demo.summary["reward_model_sft"] = {
            "metric": "F1 of (category, location), held-out pairs of drawings",
            "before": before["drawings"]["f1"],
            "after": after["drawings"]["f1"],
            "n": len(pairs["drawings"]),
            "severity_correlation_before": before["drawings"]["severity_correlation"],
            "severity_correlation_after": after["drawings"]["severity_correlation"],
            "by_source": {name: {"before": _rounded(before[name]), "after": _rounded(after[name])} for name in pairs},
        }

        last_step: dict[str, Any] = {}
        with demo.phase("grpo", "3. GRPO: the policy gets better under the reward model's reward"):
            policy_before, _ = evaluate_policy(start, erm, pool, grpo, scoring, seed)
            demo.say(f"before: reward {policy_before['reward']:.3f}, renders {policy_before['rendered']:.3f}")

            def remember(step: int, attempts: list[Attempt], advantages: np.ndarray) -> None:
                last_step.update(attempts=attempts, advantages=advantages)

            policy = run_grpo(grpo, policy=start, erm=erm, pool=pool, overwrite=True, quiet=quiet, on_step=remember)
            policy_after, _ = evaluate_policy(policy, erm, pool, grpo, scoring, seed)
            demo.say(f"after:  reward {policy_after['reward']:.3f}, renders {policy_after['rendered']:.3f}")
        demo.summary["grpo"] = {
            "metric": "mean reward of sampled answers (render success + verdict, 0 to 2), held-out drawings",
            "before": policy_before["reward"],
            "after": policy_after["reward"],
            "n": policy_before["n"],
            **{f"{name}_before": policy_before[name] for name in ("rendered", "ink_overlap")},
            **{f"{name}_after": policy_after[name] for name in ("rendered", "ink_overlap")},
        }

        with demo.phase("refinement", "4. Reflection: drafts are criticised and revised"):
            refined, drafts, kept = refine_drawings(policy, erm, pool, scoring, grpo, seed)
            demo.say(f"ink overlap with the reference: {drafts['ink_overlap']:.3f} -> {kept['ink_overlap']:.3f}")
        demo.summary["refinement"] = {
            "metric": "ink overlap of draft and kept revision with the reference, which the reward model does not see",
            "before": drafts["ink_overlap"],
            "after": kept["ink_overlap"],
            "n": len(refined),
            "reward_before": drafts["reward"],
            "reward_after": kept["reward"],
        }

    for name in ("reward_model_sft", "grpo", "refinement"):
        demo.summary[name]["seconds"] = demo.seconds[name]
    demo.summary["policy_sft"] = {"seconds": demo.seconds["policy_sft"]}
    demo.summary |= {"seed": seed, "seconds": round(time.monotonic() - began, 1), "device": jax.devices()[0].platform}
    text = json.dumps({k: _rounded(v) if isinstance(v, dict) else v for k, v in demo.summary.items()}, indent=2)
    (demo.out / "summary.json").write_text(text + "\n")
    report = write_demo_report(
        demo.out, demo.summary, pairs["drawings"], critiques["drawings"], last_step, refined, grpo
    )
    demo.say(f"\nreport: {report}\nfigures: {demo.out / 'summary.json'}")
    return report
