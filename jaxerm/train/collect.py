"""What a GRPO step learns from: prompts that render, answers to them, rewards; flat groups replaced if so wished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grain
import jax
import numpy as np

from jaxerm.critique import Task
from jaxerm.data.pairs import BrokenSample, opened
from jaxerm.data.program import Program
from jaxerm.data.sources import open_source
from jaxerm.device_clock import Clock
from jaxerm.hosts import shared
from jaxerm.models.language import LanguageModel
from jaxerm.models.qwen3_vl.inputs import Sample
from jaxerm.models.sampler import Generated, Sampling
from jaxerm.models.sharding import to_host
from jaxerm.prompts import Prompts
from jaxerm.recipe import GrpoRecipe
from jaxerm.render import RenderResult
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.scorer import Measured, Rendering, Scorer
from jaxerm.train.overlap import staged
from jaxerm.train.policy_gradient import overlong_penalty
from jaxerm.train.rollouts import Rollouts, join_rollouts, take_groups


@dataclass(frozen=True)
class Collected:
    """What a step learns from.

    Attributes:
      rollouts: B groups of n answers.
      attempts: the same answers, rendered and judged.
      rewards: of each, the penalty of its length taken off; None where it has no score.
      cursor: of the next program.
      metrics: rounds, rows that were broken, and the share of groups that were flat.
    """

    rollouts: Rollouts
    attempts: list[Attempt]
    rewards: list[float | None]
    cursor: int
    metrics: dict[str, float]


class Interrupted(Exception):
    """The run was asked to leave in the middle of a step; what is generated of it lies in `Collector.generated`."""


class Collector:
    """Asks a policy and has its answers judged.

    Where it stands is one number, the cursor in the endless row of programs: that and the weights are all it takes to
    do a step again. An unfinished step can be spared its generation: see `generated` and `pending`.

    Args:
      recipe: what is asked, and how.
      policy: definition and processor.
      scorer: renders and judges.
      stopping: looked at between the parts of a step.

    Attributes:
      generated: of the step under way, part after part.
      pending: answers of an unfinished step, used up before anything is generated.
    """

    def __init__(
        self,
        recipe: GrpoRecipe,
        policy: LanguageModel,
        scorer: Scorer,
        stopping: Callable[[], bool] = lambda: False,
    ):
        self.recipe, self.policy, self.scorer, self.pool = recipe, policy, scorer, scorer.pool
        self.stopping = stopping
        self.generated: list[Generated] = []
        self.pending: list[Generated] = []
        self.prompts = Prompts(recipe.prompts)
        self.sampling = Sampling(recipe.temperature, recipe.top_p, recipe.top_k)
        parts = []
        for number, part in enumerate(recipe.data.mixture):
            source = open_source(part.source, **part.options)
            data = grain.MapDataset.range(len(source)).seed(recipe.seed + number).shuffle().repeat()
            parts.append(data.map(lambda index, source=source: source[int(index)]))
        self.programs = grain.MapDataset.mix(parts, [part.weight for part in recipe.data.mixture])

    def references(self, cursor: int) -> tuple[list[tuple[Program, np.ndarray]], int]:
        """Program and picture of each prompt of a round, and where the next round begins.

        What has no readable picture and does not render is passed over for the next program.
        """
        wanted, out = self.recipe.prompts_per_step, []
        first, last = cursor, ""
        while len(out) < wanted:
            programs = [self.programs[cursor + i] for i in range(wanted - len(out))]
            cursor += len(programs)
            renders = iter(shared([(p.task, p.code) for p in programs if p.picture is None], self._draw)())
            for program in programs:
                try:
                    out.append((program, opened(program, next(renders) if program.picture is None else None)))
                except BrokenSample as error:
                    last = str(error)
            if not out and cursor - first >= 20 * wanted:
                raise ValueError(f"{cursor - first} references in a row cannot be used; the last: {last}")
        return out, cursor

    def ask(self, params: Any, cursor: int, seed: int, clock: Clock) -> Collected:
        """One round: prompts, answers, and what they are worth."""
        recipe, policy, n = self.recipe, self.policy, self.recipe.rollouts
        first = cursor
        with clock.doing("references"):
            references, cursor = self.references(cursor)
        size = recipe.rollout_prompts or len(references)
        lots = [references[at : at + size] for at in range(0, len(references), size)]
        batch, parts = self.scorer.begin(seed), []

        def generate(number: int) -> tuple[list[Sample], Any]:
            lot = lots[number]
            samples = [policy.processor.sample(self.prompts.code(program.task, image)) for program, image in lot]
            if self.pending:
                return samples, self.pending.pop(0)
            with clock.doing("generate"):
                began = policy.start(
                    samples + [samples[-1]] * (size - len(lot)),
                    self.sampling,
                    max_new_tokens=recipe.max_new_tokens,
                    seed=seed,
                    n=n,
                    length=recipe.max_prompt_length,
                    patches=recipe.max_patches,
                    first=number * size,
                    params=params,
                )
            return samples, began

        def render(number: int, begun: tuple[list[Sample], Any]) -> Rendering:
            samples, generated = begun
            with clock.doing("wait"):
                generated = jax.tree.map(lambda x: x[: len(samples) * n], to_host(generated))
            parts.append(Rollouts(samples, generated, policy.text(generated), n))
            self.generated.append(generated)
            if self.stopping():
                raise Interrupted
            rows = [self.row(*reference) for reference in lots[number] for _ in range(n)]
            tokens = [tokens[:size] for tokens, size in zip(generated.tokens, generated.lengths, strict=True)]
            answers = zip(rows, parts[-1].texts, tokens, strict=True)
            return batch.render([replace(row, text=text, tokens=ids) for row, text, ids in answers])

        def score(number: int, rendering: Rendering) -> list[Measured]:
            with clock.doing("render"):
                drawn = batch.drawn(rendering)
            with clock.doing("score"):
                return batch.ask(drawn, number)

        measured = staged(len(lots), generate, render, score, ahead=recipe.overlap)
        attempts = batch.settle([one for part in measured for one in part])
        rollouts = join_rollouts(parts)
        lengths = np.asarray(rollouts.generated.lengths)
        penalty = overlong_penalty(lengths, recipe.max_new_tokens, recipe.overlong_buffer) * recipe.overlong_penalty
        values = [attempt.reward.value for attempt in attempts]
        rewards = [None if value is None else value + float(p) for value, p in zip(values, penalty, strict=True)]
        return Collected(rollouts, attempts, rewards, cursor, {"broken_rows": cursor - first - len(references)})

    def _draw(self, jobs: list[tuple[Task, str]]) -> Callable[[], list[RenderResult]]:
        futures = [self.pool.submit(task, code) for task, code in jobs]
        return lambda: [future.result() for future in futures]

    def row(self, program: Program, image: np.ndarray) -> Attempt:
        """What rewards may know of a prompt: an attempt at it without its text."""
        messages = self.prompts.code(program.task, image)
        parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
        prompt = "\n".join(part["text"] for part in parts if part["type"] == "text")
        return Attempt(program.task, image, "", prompt, {**program.columns, "code": program.code, "name": program.name})

    def collect(self, step: int, params: Any, cursor: int, clock: Clock | None = None) -> Collected:
        """The answers of one step; what takes how long is noted on `clock`.

        Groups whose rewards are all equal teach nothing. With `max_refills` other prompts take their place, until the
        step is full or the rounds are over (dynamic sampling, arXiv 2503.14476, sec. 3.2).

        Raises:
          Interrupted: `stopping` said so.
        """
        recipe = self.recipe
        n, wanted = recipe.rollouts, recipe.prompts_per_step
        clock = clock or Clock()
        self.generated = []
        rounds: list[Collected] = []
        spread: list[bool] = []
        for round_ in range(recipe.max_refills + 1):
            seed = (recipe.seed * 1_000_003 + step) * (recipe.max_refills + 1) + round_
            rounds.append(self.ask(params, rounds[-1].cursor if rounds else cursor, seed, clock))
            spread += [_differ(rounds[-1].rewards[at : at + n]) for at in range(0, n * wanted, n)]
            if sum(spread) >= wanted:
                break
        # Groups that differ first, in the order they were drawn; flat ones fill what is left.
        order = sorted(range(len(spread)), key=lambda group: not spread[group])[:wanted]
        rows = [group * n + i for group in order for i in range(n)]
        attempts = [attempt for one in rounds for attempt in one.attempts]
        rewards = [reward for one in rounds for reward in one.rewards]
        metrics = {name: sum(one.metrics[name] for one in rounds) for name in rounds[0].metrics}
        return Collected(
            take_groups(join_rollouts([one.rollouts for one in rounds]), order),
            [attempts[row] for row in rows],
            [rewards[row] for row in rows],
            rounds[-1].cursor,
            {**metrics, "rounds": len(rounds), "flat_groups": spread.count(False) / len(spread)},
        )


def _differ(rewards: Sequence[float | None]) -> bool:
    return len({reward for reward in rewards if reward is not None}) > 1
