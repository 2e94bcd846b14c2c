"""The report of a run folder, or of two side by side: all there is comes from the files in them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jaxerm.report.page import write_report
from jaxerm.report.rollouts import rollout_sections
from jaxerm.report.sections import Curves, Figures, Listing, Section, TimeLine
from jaxerm.run_logs import tag
from jaxerm.runs import read_metrics

_TITLES = {
    "rewards": "Rewards",
    "eval": "Held out",
    "train": "Training",
    "policy": "Policy",
    "completions": "Answers",
    "data": "Data",
    "system": "Machine",
    "time": "Seconds",
}
"""Groups of metrics in the order they are shown; others follow under their own names."""

_LEAD = {"sft": ("loss", "eval_loss"), "grpo": ("reward", "eval_reward")}
"""What one looks at first."""

_WATCHED = {
    "sft": ("loss", "eval_loss", "eval_f1"),
    "grpo": ("reward", "eval_reward", "render_rate", "eval_ink_overlap", "kl"),
}
"""What the heading tells the first and the last of."""

_SPANS = 1
"""Steps whose spans are drawn: the last ones that have any."""

Columns = dict[str, tuple[list[int], list[float]]]


class Run:
    """What lies in a run folder.

    Args:
      path: the folder.

    Raises:
      FileNotFoundError: it is no run folder, or nothing has run there yet.
      ValueError: its config.yaml is broken.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not (self.path / "metrics.jsonl").is_file():
            raise FileNotFoundError(f"{path} has no metrics.jsonl: it is no run folder, or nothing has run there yet")
        self.rows = read_metrics(self.path)
        config = self.path / "config.yaml"
        self.yaml = config.read_text(encoding="utf-8") if config.is_file() else ""
        try:
            self.config: dict[str, Any] = yaml.safe_load(self.yaml) or {}
        except yaml.YAMLError:
            raise ValueError(f"{config} is not valid YAML; a run writes it anew when it is taken up") from None
        self.kind = "grpo" if self.config.get("kind") == "grpo" else "sft"
        self.columns: Columns = {}
        for row in self.rows:
            for name, value in row.items():
                if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                    steps, values = self.columns.setdefault(name, ([], []))
                    steps.append(row["step"])
                    values.append(value)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def end(self, name: str) -> float | None:
        """Mean of the last tenth of a metric; None where the run has none of it."""
        values = self.columns.get(name, ([], []))[1]
        return _mean(values[-max(1, len(values) // 10) :]) if values else None

    @property
    def alarms(self) -> dict[int, list[str]]:
        return {row["step"]: row["alarms"] for row in self.rows if row.get("alarms")}


def run_report(path: str | Path, other: str | Path | None = None, out: str | Path | None = None) -> Path:
    """Writes the page of a run, or of two side by side, and returns its path.

    Args:
      path: the run folder.
      other: a second one, to compare with.
      out: the HTML file; ``report.html`` in the first folder if None, ``compare_OTHER.html`` for two.

    Raises:
      FileNotFoundError: a folder is none of a run.
      ValueError: the runs are not of one kind.
    """
    run = Run(path)
    if other is None:
        out = out or run.path / "report.html"
        return write_report(out, f"{run.name}: {run.kind}", _facts(run), run_sections(run))
    second = Run(other)
    if second.kind != run.kind:
        raise ValueError(f"{path} is a run of {run.kind} and {other} one of {second.kind}: they share no curves")
    out = out or run.path / f"compare_{second.name}.html"
    names = (run.name, second.name) if run.name != second.name else (str(run.path), str(second.path))
    return write_report(out, f"{names[0]} and {names[1]}", {}, comparison(run, second, *names))


def _facts(run: Run) -> dict[str, Any]:
    """Heading of a run: how far it is, how long it took, and how what one looks at first has moved."""
    last = run.rows[-1]["step"] if run.rows else 0
    facts: dict[str, Any] = {"steps": f"{last} of {run.config.get('steps', '?')}"}
    if "seconds" in run.columns:
        facts["time"] = _duration(sum(run.columns["seconds"][1]))
    for key in ("model", "policy", "seed"):
        if key in run.config:
            facts[key] = run.config[key]
    if run.kind == "grpo":
        facts["reward model"] = (run.config.get("reward") or {}).get("model")
    for name in _WATCHED[run.kind]:
        if name in run.columns and len(run.columns[name][1]) > 1:
            values = run.columns[name][1]
            some = max(1, len(values) // 10)
            entry = {"before": _mean(values[:some]), "after": _mean(values[-some:])}
            facts[name] = entry if some == 1 else {**entry, "means of the first and last": f"{some} steps"}
    return facts


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _groups(*runs: Run) -> dict[str, list[str]]:
    """Group -> metrics of all runs in it, in the order of `_TITLES`."""
    names = list(dict.fromkeys(name for run in runs for name in run.columns))
    groups: dict[str, list[str]] = {group: [] for group in _TITLES}
    for name in names:
        groups.setdefault(tag(name).split("/")[0], []).append(name)
    return {group: found for group, found in groups.items() if found}


def run_sections(run: Run) -> list[Section]:
    """Curves, tables, time line, rollouts and settings of one run."""
    lead = {name: run.columns[name] for name in _LEAD[run.kind] if name in run.columns}
    markers = {step: "alarm" for step in run.alarms}
    sections: list[Section] = [Curves(" and ".join(lead) or "loss", lead, markers=markers)]
    if run.alarms:
        rows = [(step, text) for step, texts in run.alarms.items() for text in texts]
        sections.append(Figures("Alarms", ("step", "what the watch-dogs said"), rows))
    groups = _groups(run)
    if "eval" in groups and len(groups["eval"]) > 1:
        sections.append(_evaluations(run, groups["eval"]))
    seconds = groups.pop("time", [])
    for group, names in groups.items():
        title = _TITLES.get(group, group)
        sections.append(Curves(title, {name: run.columns[name] for name in names}, separate=True, markers=markers))
    if (line := time_line(run, seconds)) is not None:
        sections.insert(len(sections) - ("system" in groups), line)
    sections += rollout_sections(_dumps(run)[-1]) if _dumps(run) else []
    if run.yaml:
        sections.append(Listing("Settings", run.yaml, "config.yaml: all of them, defaults included"))
    return sections


def _evaluations(run: Run, names: Sequence[str]) -> Figures:
    measured = [row for row in run.rows if any(name in row for name in names)]
    # Few enough to read: the last is always among them.
    shown = measured[:: -max(1, math.ceil(len(measured) / 12))][::-1]
    rows = [[row["step"], *(row.get(name) for name in names)] for row in shown]
    return Figures("Evaluation", ("step", *(name.removeprefix("eval_") for name in names)), rows)


def time_line(run: Run, names: Sequence[str]) -> TimeLine | None:
    """Seconds of each kind of work; None where a run tells no more than the whole step."""
    parts = [name for name in names if name.endswith("_s") and name != "seconds"]
    if not parts:
        return None
    rows = [row for row in run.rows if any(name in row for name in parts)]
    spans = {}
    for folder in _dumps(run)[-_SPANS:]:
        file = folder / "timeline.json"
        if file.is_file():
            spans[int(folder.name)] = json.loads(file.read_text(encoding="utf-8"))
    idle = run.columns.get("idle", ([], []))[1]
    note = f"The device had nothing to do in {_mean(idle):.1%} of the time." if idle else ""
    return TimeLine(
        "Where the time goes",
        [row["step"] for row in rows],
        {name.removesuffix("_s"): [row.get(name) for row in rows] for name in parts},
        [row.get("seconds") for row in rows],
        spans,
        note,
    )


def _dumps(run: Run) -> list[Path]:
    """Folders of rollouts that are whole, in the order of their steps."""
    return sorted(file.parent for file in (run.path / "rollouts").glob("*/rollouts.jsonl"))


def comparison(run: Run, other: Run, *names: str) -> list[Section]:
    """Final figures, settings that differ, and every curve of two runs, one over the other."""
    groups = _groups(run, other)
    rows = []
    for name in (name for group, found in groups.items() if group != "time" for name in found):
        first, second = run.end(name), other.end(name)
        change = None if first is None or second is None else second - first
        rows.append((name, first, second, change))
    sections: list[Section] = [
        Figures("Final figures", ("mean of the last tenth", *names, "difference"), rows),
        Figures("Settings that differ", ("setting", *names), _differences(run.config, other.config)),
    ]
    for group, found in groups.items():
        own, others = ({name: one.columns[name] for name in found if name in one.columns} for one in (run, other))
        title = _TITLES.get(group, group)
        sections.append(Curves(title, own, separate=True, others={names[1]: others}, name=names[0]))
    return sections


def _flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in config.items():
        out |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) and value else {f"{above}{key}": value}
    return out


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    a, b = _flat(one), _flat(two)
    return [
        (key, *(json.dumps(side.get(key), ensure_ascii=False) if key in side else "–" for side in (a, b)))
        for key in {**a, **b}
        if key not in a or key not in b or a[key] != b[key]
    ]
