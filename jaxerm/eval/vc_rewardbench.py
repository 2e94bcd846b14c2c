"""VC-RewardBench: F1, precision and recall of what was found, correlation of severities, as published.

A judge matches predicted with annotated errors one to one, each match ``yes`` or ``partial``. With the counts pooled
over items: hard TP = #yes; soft TP = #yes + 0.5 #partial; FP and FN are the unmatched ones, so that a partial match is
no hard TP and no FP or FN either. Severity correlation is Pearson's r of the severity sums of the items.

Where this differs from the reference code: items with nothing predicted and nothing annotated score 1 in both F1s
(there the soft one comes out 0); a critique that cannot be read counts as one that found nothing, and such are counted;
an item the judge gives no readable answer to is left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxerm.critique import SCHEMAS, Critique, CritiqueError, Task, parse_critique
from jaxerm.data.chat import ChatError
from jaxerm.data.rewardbench import BenchItem, json_lines
from jaxerm.eval.judge import Judge, Match
from jaxerm.progress import Ticker
from jaxerm.rewards.visual_erm import VisualERM


@dataclass(frozen=True)
class Judged:
    """One item with what was predicted for it and how that was matched.

    Attributes:
      item: the annotated pair.
      predicted: None where nothing readable was written.
      matches: None where the judge gave no readable answer.
    """

    item: BenchItem
    predicted: Critique | None
    matches: list[Match] | None

    @property
    def said(self) -> Critique:
        """What was predicted; nothing where it could not be read."""
        return self.predicted or Critique(self.item.task)


@dataclass
class Counts:
    """Pooled counts.

    Attributes:
      yes, partial: matches.
      wrong: predicted errors without a match (FP).
      missed: annotated errors without a match (FN).
    """

    yes: int = 0
    partial: int = 0
    wrong: int = 0
    missed: int = 0

    def scores(self) -> dict[str, float]:
        """F1, precision and recall, hard and soft; 1 where there was nothing to find and nothing was said."""
        out = {}
        nothing = not (self.yes or self.partial or self.wrong or self.missed)
        for name, hits in (("hard", self.yes), ("soft", self.yes + 0.5 * self.partial)):
            for key, total in (
                ("f1", hits + (self.wrong + self.missed) / 2),
                ("precision", hits + self.wrong),
                ("recall", hits + self.missed),
            ):
                out[f"{key}_{name}"] = hits / total if total else float(nothing)
        return out


def _count(judged: Sequence[Judged], category: str | None = None) -> Counts:
    """Of one category: a match belongs to the category that was annotated."""
    counts = Counts()
    for one in judged:
        said, truth = one.said.errors, one.item.truth.errors
        for match in one.matches:
            if category in (None, truth[match.annotated].category):
                counts.yes += match.verdict == "yes"
                counts.partial += match.verdict == "partial"
        met = {match.predicted for match in one.matches}, {match.annotated for match in one.matches}
        counts.wrong += sum(i not in met[0] and category in (None, e.category) for i, e in enumerate(said))
        counts.missed += sum(i not in met[1] and category in (None, e.category) for i, e in enumerate(truth))
    return counts


def _correlation(judged: Sequence[Judged]) -> float | None:
    """Pearson's r of the severity sums; None where it is not defined: one item, or sums that do not vary."""
    said = np.array([one.said.severity for one in judged], float)
    true = np.array([one.item.truth.severity for one in judged], float)
    if len(judged) < 2 or said.std() == 0 or true.std() == 0:
        return None
    return float(np.corrcoef(said, true)[0, 1])


def _summary(judged: Sequence[Judged]) -> dict[str, Any]:
    counts = _count(judged)
    return {
        **counts.scores(),
        "severity_correlation": _correlation(judged),
        "yes": counts.yes,
        "partial": counts.partial,
        "false_positives": counts.wrong,
        "false_negatives": counts.missed,
        "unreadable": sum(one.predicted is None for one in judged),
        "n": len(judged),
    }


def bench_scores(judged: Sequence[Judged]) -> dict[str, Any]:
    """The benchmark's figures.

    Returns:
      ``pooled`` and ``tasks`` (task -> the same): ``f1_hard``, ``f1_soft``, ``precision_*``, ``recall_*``,
      ``severity_correlation`` (None where nothing varies), the counts, ``unreadable``, ``n``; under each task
      ``categories``: category -> F1, precision and recall; ``unjudged``, ids of items left out.
    """
    kept = [one for one in judged if one.matches is not None]
    tasks = {}
    for task, schema in SCHEMAS.items():
        part = [one for one in kept if one.item.task == task]
        if part:
            categories = {name: _count(part, name).scores() for name in schema.categories}
            tasks[task] = {**_summary(part), "categories": categories}
    unjudged = [one.item.id for one in judged if one.matches is None]
    return {"pooled": _summary(kept), "tasks": tasks, "unjudged": unjudged}


def judge_items(
    items: Sequence[BenchItem], predicted: Sequence[Critique | None], judge: Judge, threads: int = 8
) -> list[Judged]:
    """Has every item judged.

    Raises:
      ChatError: the judge answered for no item at all: the address is at fault, and there is nothing to report.
    """
    faults: list[ChatError] = []

    def one(item: BenchItem, critique: Critique | None) -> Judged:
        try:
            return Judged(item, critique, judge.match(critique or Critique(item.task), item.truth))
        except ChatError as error:
            faults.append(error)
            return Judged(item, critique, None)

    with ThreadPoolExecutor(threads) as pool:
        judged = list(pool.map(one, items, predicted))
    asked = sum(bool(entry.said.errors and entry.item.truth.errors) for entry in judged)
    if faults and len(faults) == asked:
        raise faults[0]
    return judged


def ask_model(erm: VisualERM, items: Sequence[BenchItem], *, rows: int = 16, seed: int = 0) -> list[Critique | None]:
    """The reward model's critique of every item, a few images at a time; None where it could not be read."""
    out: list[Critique | None] = []
    with Ticker("critiques", len(items)) as ticker:
        for start in range(0, len(items), rows):
            part = items[start : start + rows]
            results = erm.critiques([(item.task, item.reference, item.prediction) for item in part], seed=seed)
            out += [result if isinstance(result, Critique) else None for result in results]
            ticker.update(len(out))
    return out


def read_predictions(path: str | Path, items: Sequence[BenchItem]) -> list[Critique | None]:
    """The critiques of an answer file, in the order of the items; None where one cannot be read.

    Takes the reference code's answer file, a JSON list of the items with ``pred_json``, and the same as JSON Lines;
    ``pred_json`` is an object, or the text a model wrote.

    Raises:
      ValueError: no such file, not JSON, or no answer for an item.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    try:
        entries = json.loads(text) if text.lstrip().startswith("[") else [line for _, line in json_lines(path)]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    known: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError(f"{path}: an entry is {type(entry).__name__}, not an object")
        known[str(entry.get("id", entry.get("idx")))] = entry.get("pred_json")
    missing = [item.id for item in items if item.id not in known]
    if missing:
        raise ValueError(f"{path} has no answer for {len(missing)} of {len(items)} items, such as {missing[0]!r}")
    return [_critique(known[item.id], item.task) for item in items]


def write_predictions(path: str | Path, judged: Sequence[Judged]) -> None:
    """Writes an answer file as the reference code has it, with the matches of the judge beside."""
    entries = []
    for one in judged:
        item = one.item
        truth = [{"type": e.category, "severity": e.severity, "description": e.description} for e in item.truth.errors]
        entries.append(
            {
                "id": item.id,
                "category": item.task,
                "gt_img_path": str(item.reference),
                "pred_img_path": str(item.prediction),
                "human_errors": truth,
                "pred_json": None if one.predicted is None else one.predicted.to_dict(),
                "error_parse_failed_reason": "no readable critique" if one.predicted is None else None,
                "matches": None if one.matches is None else [vars(match) for match in one.matches],
            }
        )
    Path(path).write_text(json.dumps(entries, ensure_ascii=False, indent=1), encoding="utf-8")


def _critique(answer: Any, task: Task) -> Critique | None:
    try:
        return parse_critique(answer if isinstance(answer, str) else json.dumps(answer), task)
    except CritiqueError:
        return None
