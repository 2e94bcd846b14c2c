"""Watch-dogs: they read the metrics of each step, say when a run has gone wrong, and stop it where the recipe says."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxerm.recipe_schema import Watching

_MUST_BE_FINITE = ("loss", "grad_norm")
_FALLS = {"reward_collapse": "reward", "render_collapse": "render_rate"}
_HINTS = {
    "nonfinite": "a lower optimizer.lr, more optimizer.warmup_steps or a lower optimizer.clip_norm",
    "reward_collapse": "a lower optimizer.lr or a higher kl_coef; rollouts/ shows what the policy writes now",
    "render_collapse": "a lower optimizer.lr or a higher kl_coef; rollouts/ shows what the policy writes now",
    "flat_groups": "a higher temperature, harder prompts, or max_refills",
    "kl": "a higher kl_coef or a lower optimizer.lr",
    "unscored": "the reward model's address and max_new_tokens; rollouts/ gives the reasons",
}


class RunStopped(RuntimeError):
    """A watch-dog ended the run. The message says what happened, when, and how to go on."""

    exit_status = 3


@dataclass(frozen=True)
class Alarm:
    """One thing that went wrong.

    Attributes:
      rule: its name in the recipe; ``nonfinite`` has none there, it always stops.
      text: what was seen, and the limit.
      stop: whether the run ends.
      hint: what usually helps.
    """

    rule: str
    text: str
    stop: bool
    hint: str


class Watch:
    """Looks at every step; its memory is a few numbers that go into the checkpoint.

    Args:
      recipe: limits, and what to do.
      answers: rollouts of a step, of which `unscored` is a share; not needed for SFT.
    """

    def __init__(self, recipe: Watching, answers: int = 1):
        self.recipe, self.answers = recipe, answers
        self._recent: dict[str, deque[float]] = {
            name: deque(maxlen=recipe.window) for name in (*_FALLS.values(), "unscored")
        }
        self._best: dict[str, float] = {}
        self._flat = 0
        self._raised: set[str] = set()

    def look(self, step: int, metrics: Mapping[str, Any]) -> list[Alarm]:
        """What is wrong at this step and was not yet at the last; to be called once a step, before it is saved.

        Args:
          step: optimiser steps taken.
          metrics: of the step, by the names of ``metrics.jsonl``; rules whose metric is missing rest.
        """
        values = {name: float(v) for name, v in metrics.items() if isinstance(v, (int, float)) or hasattr(v, "item")}
        found = [*self._nonfinite(values), *self._levels(values), *self._unscored(values), *self._falls(values)]
        names = {alarm.rule for alarm in found}
        # A state that lasts is told once; one that must end the run is told until it does.
        new = [alarm for alarm in found if alarm.stop or alarm.rule not in self._raised]
        self._raised = names
        return new

    def _nonfinite(self, values: Mapping[str, float]) -> list[Alarm]:
        bad = [f"{name} is {values[name]}" for name in _MUST_BE_FINITE if not math.isfinite(values.get(name, 0.0))]
        return [Alarm("nonfinite", " and ".join(bad), True, _HINTS["nonfinite"])] if bad else []

    def _alarm(self, rule: str, text: str) -> Alarm:
        return Alarm(rule, text, rule in self.recipe.stop, _HINTS[rule])

    def _levels(self, values: Mapping[str, float]) -> list[Alarm]:
        """Rules about the step alone, and the row of flat steps that it ends."""
        rules, found = self.recipe, []
        self._flat = self._flat + 1 if values.get("flat_groups", 0.0) >= 1.0 else 0
        if rules.flat_groups is not None and self._flat >= rules.flat_groups:
            text = f"no group's rewards differed in {self._flat} steps (watch.flat_groups = {rules.flat_groups})"
            found.append(self._alarm("flat_groups", text))
        if rules.kl is not None and (kl := values.get("kl", 0.0)) > rules.kl:
            found.append(self._alarm("kl", f"the KL to the reference is {kl:.3g} (watch.kl = {rules.kl:g})"))
        return found

    def _unscored(self, values: Mapping[str, float]) -> list[Alarm]:
        """Of all answers of the window, so that a reward model that is started anew ends no run."""
        recent, limit = self._recent["unscored"], self.recipe.unscored
        recent.append(values.get("unscored", 0.0) / self.answers)
        share = sum(recent) / len(recent)
        if limit is None or len(recent) < self.recipe.window or share <= limit:
            return []
        seen = f"of the answers of the last {len(recent)} steps {share:.3g} have no score"
        return [self._alarm("unscored", f"{seen} (watch.unscored = {limit:g})")]

    def _falls(self, values: Mapping[str, float]) -> list[Alarm]:
        """Running means against their best so far."""
        found = []
        for rule, name in _FALLS.items():
            value, recent, share = values.get(name), self._recent[name], getattr(self.recipe, rule)
            if value is None or not math.isfinite(value):
                continue
            recent.append(value)
            if len(recent) < self.recipe.window:
                continue
            mean = sum(recent) / len(recent)
            best = self._best[name] = max(mean, self._best.get(name, mean))
            # Of a mean below zero the distance counts: a share of it would be higher, not lower.
            if share is not None and mean < (floor := best - (1 - share) * abs(best)):
                seen = f"the mean {name} of the last {len(recent)} steps is {mean:.3g}, below {floor:.3g}"
                found.append(self._alarm(rule, f"{seen}: its best was {best:.3g} (watch.{rule} = {share:g})"))
        return found

    def act(self, step: int, alarms: list[Alarm], run: Path, say: Callable[[str], None]) -> None:
        """Says what `look` found; to be called when the step's metrics are written.

        Args:
          step: of the alarms.
          alarms: of `look`.
          run: folder of the run.
          say: gets one line for each warning.

        Raises:
          RunStopped: one of the alarms ends the run.
        """
        for alarm in alarms:
            if not alarm.stop:
                say(f"warning: step {step}: {alarm.text}; what may help: {alarm.hint}")
        stops = [alarm for alarm in alarms if alarm.stop]
        if stops:
            raise RunStopped(
                f"stopped at step {step}: {'; '.join(alarm.text for alarm in stops)}. {_last_checkpoint(run)} "
                f"What may help: {stops[0].hint}."
            )

    def state(self) -> dict[str, Any]:
        """JSON values for the checkpoint."""
        recent = {name: list(values) for name, values in self._recent.items()}
        return {"recent": recent, "best": dict(self._best), "flat": self._flat, "raised": sorted(self._raised)}

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Goes on from a checkpoint's `state`; None, of a checkpoint without one, begins anew."""
        if state:
            for name, values in state["recent"].items():
                self._recent[name].extend(values)
            self._best, self._flat, self._raised = dict(state["best"]), state["flat"], set(state["raised"])


def _last_checkpoint(run: Path) -> str:
    """Unfinished checkpoints bear other names than a number."""
    folder = run / "checkpoints"
    steps = [int(item.name) for item in folder.iterdir() if item.name.isdigit()] if folder.is_dir() else []
    if not steps:
        return "There is no checkpoint yet: begin anew with --overwrite."
    last = max(steps)
    return (
        f"The last good checkpoint is {folder / str(last)}: the same command goes on from step {last}, "
        "with changed settings if --resume is given."
    )


def noted(alarms: list[Alarm]) -> dict[str, list[str]]:
    """Alarms as an entry of the step's metrics; none is no entry."""
    return {"alarms": [alarm.text for alarm in alarms]} if alarms else {}
