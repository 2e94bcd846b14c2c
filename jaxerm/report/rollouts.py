"""The rollouts of a step, read from its folder: for the report of a run, and as a page of their own beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from jaxerm.critique import Critique, parse_critique
from jaxerm.report.page import render_report
from jaxerm.report.sections import Rollout, RolloutGallery


def rollout_sections(folder: Path) -> list[RolloutGallery]:
    """One gallery a prompt, of what `dump_rollouts` has written into a folder."""
    with (folder / "rollouts.jsonl").open(encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    galleries = []
    for reference, group in groupby(entries, key=lambda entry: entry["reference"]):
        group = list(group)
        title = f"Step {int(folder.name)}, prompt {len(galleries) + 1}: {group[0]['task']}"
        rollouts = [_rollout(folder, entry) for entry in group]
        galleries.append(RolloutGallery(title, folder / reference, rollouts))
    return galleries


def _rollout(folder: Path, entry: Mapping[str, Any]) -> Rollout:
    image = None if entry["image"] is None else folder / entry["image"]
    figures = entry["reward"], entry["advantage"]
    return Rollout(image, entry["text"], *figures, entry["reason"], entry.get("rewards", {}), _critique(entry))


def _critique(entry: Mapping[str, Any]) -> Critique | None:
    said = entry["critique"]
    return None if said is None else parse_critique(json.dumps(said), entry["task"])


def write_rollouts_page(folder: Path) -> Path:
    """Writes ``index.html`` beside the rollouts of a step; its pictures are the files that lie there."""
    galleries = rollout_sections(folder)
    page = folder / "index.html"
    page.write_text(
        render_report(f"Rollouts of step {int(folder.name)}", {}, galleries, address=lambda path: Path(path).name),
        encoding="utf-8",
    )
    return page
