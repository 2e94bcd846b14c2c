"""From the text of a policy to its rewards: extract the code, render it, have every reward say what it is worth."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from jaxerm.critique import Task
from jaxerm.hosts import shared
from jaxerm.render import RenderPool, RenderResult, extract_code
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, skipped, unscored


@dataclass(frozen=True)
class Part:
    """One term of the sum.

    Attributes:
      reward: says what an attempt is worth.
      weight: what that is multiplied by; a reward of weight 0 is only watched.
      tasks: those it speaks of; None is all.
    """

    reward: Reward
    weight: float = 1.0
    tasks: tuple[Task, ...] | None = None


@dataclass(frozen=True)
class Rendering:
    """Attempts whose renders are under way.

    Attributes:
      attempts: with their code.
      renders: waits for the render of each place that has code.
    """

    attempts: list[Attempt]
    renders: Callable[[], dict[int, RenderResult]]


@dataclass(frozen=True)
class Measured:
    """An attempt with its render, and what each part said of it so far."""

    attempt: Attempt
    results: tuple[RewardResult, ...]


class Scorer:
    """Renders attempts and adds up what several rewards say of them. May be used from several threads.

    Args:
      pool: renders.
      parts: the terms of the sum.

    Raises:
      ValueError: no parts, or two of one name.
    """

    def __init__(self, pool: RenderPool, parts: Sequence[Part]):
        names = [part.reward.name for part in parts]
        if not parts:
            raise ValueError("there is no reward: name at least one")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two rewards are called {twice!r}: give one of them a label")
        self.pool, self.parts = pool, tuple(parts)

    def begin(self, seed: int = 0) -> BatchScoring:
        """Opens the scoring of one batch."""
        return BatchScoring(self, seed)

    def score(self, attempts: Sequence[Attempt], seed: int = 0) -> list[Attempt]:
        """Scores a whole batch, in order; only text, task, reference, prompt and columns of it are looked at."""
        batch = self.begin(seed)
        return batch.settle(batch.measure(attempts))


class BatchScoring:
    """The scoring of one batch, part after part or several at once: `measure` each, then `settle` all of them.

    `measure` is `render`, which returns at once, `drawn`, which waits, and `ask`.

    What is equal is rendered and scored once, whichever part of the batch it is in.
    """

    def __init__(self, scorer: Scorer, seed: int):
        self.scorer, self.seed = scorer, seed
        self._lock = threading.Lock()
        self._known: dict[Hashable, Future] = {}

    def measure(self, attempts: Sequence[Attempt], lot: int = 0) -> list[Measured]:
        """Renders a part of the batch and asks every reward about it; returns when all have answered.

        Args:
          attempts: in order; code, render and reward need not be there.
          lot: number of this part; it goes into the seed of whatever is sampled.
        """
        return self.ask(self.drawn(self.render(attempts)), lot)

    def render(self, attempts: Sequence[Attempt]) -> Rendering:
        """Finds the code of a part of the batch and begins its renders."""
        codes = [extract_code(attempt.text, attempt.task) for attempt in attempts]
        there = [place for place, code in enumerate(codes) if code is not None]
        keys = [("", attempts[place].task, codes[place]) for place in there]
        futures, mine = self._claim(keys)

        def begin(jobs: list[tuple[Task, str]]) -> Callable[[], list[RenderResult]]:
            drawn = [self.scorer.pool.submit(task, code) for task, code in jobs]
            return lambda: [future.result() for future in drawn]

        finish = shared([(attempts[there[i]].task, codes[there[i]]) for i in mine], begin)

        def renders() -> dict[int, RenderResult]:
            results = self._fulfilled(futures, mine, finish)
            return dict(zip(there, results, strict=True))

        coded = [replace(a, code=code, render=None, reward=None) for a, code in zip(attempts, codes, strict=True)]
        return Rendering(coded, renders)

    def drawn(self, rendering: Rendering) -> list[Attempt]:
        """Waits for the renders of a part."""
        renders = rendering.renders()
        return [replace(attempt, render=renders.get(place)) for place, attempt in enumerate(rendering.attempts)]

    def ask(self, attempts: Sequence[Attempt], lot: int = 0) -> list[Measured]:
        """Asks every reward about a part that is rendered; see `measure`."""
        columns = [self._asked(part, attempts, self.seed + 1_000_003 * lot) for part in self.scorer.parts]
        return [Measured(attempt, results) for attempt, *results in zip(attempts, *columns, strict=True)]

    def settle(self, measured: Sequence[Measured]) -> list[Attempt]:
        """The attempts of the whole batch with their rewards, in the order they are given in."""
        attempts = [one.attempt for one in measured]
        columns = [
            part.reward.settle(attempts, [one.results[number] for one in measured])
            for number, part in enumerate(self.scorer.parts)
        ]
        return [
            replace(attempt, reward=_sum(self.scorer.parts, [column[row] for column in columns]))
            for row, attempt in enumerate(attempts)
        ]

    def _claim(self, keys: Sequence[Hashable | None]) -> tuple[list[Future], list[int]]:
        """A future of the value of every key, and the places of those nobody has asked for before."""
        futures: list[Future] = []
        mine: list[int] = []
        with self._lock:
            for place, key in enumerate(keys):
                future = None if key is None else self._known.get(key)
                if future is None:
                    future = Future()
                    mine.append(place)
                    if key is not None:
                        self._known[key] = future
                futures.append(future)
        return futures, mine

    @staticmethod
    def _fulfilled(futures: list[Future], mine: list[int], work: Callable[[], Sequence[Any]]) -> list[Any]:
        """The values of all futures, once `work` has given those at the places `mine`."""
        try:
            for place, value in zip(mine, work() if mine else (), strict=True):
                futures[place].set_result(value)
        except BaseException as error:  # whoever waits for these must not wait for ever
            for place in mine:
                if not futures[place].done():
                    futures[place].set_exception(error)
            raise
        return [future.result() for future in futures]

    def _asked(self, part: Part, attempts: list[Attempt], seed: int) -> list[RewardResult]:
        reward = part.reward
        out: list[RewardResult] = [skipped(f"not for {attempt.task}") for attempt in attempts]
        places = [i for i, attempt in enumerate(attempts) if part.tasks is None or attempt.task in part.tasks]
        keys = [(reward.name, key) if (key := reward.key(attempts[i])) is not None else None for i in places]

        futures, mine = self._claim(keys)

        def asked(some: list[Attempt]) -> Callable[[], list[RewardResult]]:
            return lambda: list(reward(some, seed=seed)) if some else []

        def work() -> Sequence[RewardResult]:
            open_ = [attempts[places[i]] for i in mine]
            # What runs on the mesh is every process's work; what the host does is shared among them.
            return asked(open_)() if reward.on_mesh else shared(open_, asked)()

        for place, result in zip(places, self._fulfilled(futures, mine, work), strict=True):
            out[place] = result
        return out


def _sum(parts: Sequence[Part], results: Sequence[RewardResult]) -> RewardResult:
    """R = sum of w_i r_i over the parts that apply.

    One part without a score leaves the whole without one; one that failed makes the whole failed, worth the sum.
    """
    values, fault, failure, total, applied = {}, "", "", 0.0, False
    critique = next((result.critique for result in results if result.critique is not None), None)
    for part, result in zip(parts, results, strict=True):
        name = part.reward.name
        known = result.value is not None and math.isfinite(result.value)
        if known:
            values[name] = result.value
        if result.status == "skipped" or part.weight == 0:
            continue
        applied = True
        if not known:
            fault = fault or f"{name}: {result.reason or f'the reward is {result.value}'}"
            continue
        total += part.weight * result.value
        if result.status == "failed":
            failure = failure or result.reason
    if not applied:
        fault = "no reward applies"
    if fault:
        return replace(unscored(fault), parts=values, critique=critique)
    return RewardResult("failed" if failure else "scored", total, values, failure, critique)
