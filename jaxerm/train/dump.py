"""Rollouts on disk, with their images: what a person looks at to see what a policy does for its reward."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxerm.report.rollouts import write_rollouts_page
from jaxerm.rewards.attempts import Attempt
from jaxerm.runs import RunDir


def dump_rollouts(folder: Path, attempts: Sequence[Attempt], advantages: np.ndarray, n: int, groups: int = 4) -> None:
    """Writes the first groups of a step: ``rollouts.jsonl``, a PNG for each reference and each render, ``index.html``.

    Args:
      folder: of the step.
      attempts: answer i of prompt b at b * n + i.
      advantages: float32[R].
      n: answers a prompt.
      groups: prompts written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rollouts.jsonl").open("w", encoding="utf-8") as file:
        for row, attempt in enumerate(attempts[: groups * n]):
            reference = f"{row // n:03d}_reference.png"
            if row % n == 0:
                Image.fromarray(attempt.reference).save(folder / reference)
            image = None
            if attempt.image is not None:
                image = f"{row // n:03d}_{row % n:02d}.png"
                Image.fromarray(attempt.image).save(folder / image)
            entry = {
                "task": attempt.task,
                "reference": reference,
                "image": image,
                "text": attempt.text,
                "critique": None if attempt.critique is None else attempt.critique.to_dict(),
                "status": attempt.reward.status,
                "reward": attempt.reward.value,
                "rewards": attempt.reward.parts,
                "reason": attempt.reward.reason,
                "advantage": float(advantages[row]),
            }
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    write_rollouts_page(folder)


_SHOWN = 256
"""Height in pixels of the pictures handed to the logs."""


def show_rollouts(run: RunDir, step: int, attempts: Sequence[Attempt], n: int) -> None:
    """Hands the first group of a step to the logs: the reference and its renders in one row, what was written beneath.

    Args:
      run: whose logs.
      step: of the attempts.
      attempts: answer i of prompt b at b * n + i.
      n: answers a prompt.
    """
    group = attempts[:n]
    images = [group[0].reference, *(attempt.image for attempt in group)]
    pictures = [Image.fromarray(image) for image in images if image is not None]
    high = min(_SHOWN, max(picture.height for picture in pictures))
    sized = [picture.resize((max(1, round(picture.width * high / picture.height)), high)) for picture in pictures]
    row = Image.new("RGB", (sum(picture.width + 4 for picture in sized) - 4, high), "white")
    at = 0
    for picture in sized:
        row.paste(picture, (at, 0))
        at += picture.width + 4
    lines = []
    for i, attempt in enumerate(group):
        value = "unscored" if attempt.reward.value is None else f"{attempt.reward.value:.3f}"
        said = attempt.reward.reason if attempt.critique is None else attempt.critique.to_json()
        lines.append(f"### {i + 1}: {value}\n\n{said}\n\n{attempt.text}")
    run.show(step, "rollouts", np.asarray(row), "\n\n".join(lines))


def dump_timeline(folder: Path, spans: Sequence[dict[str, Any]]) -> None:
    """Writes ``timeline.json``: what device and host did when in this step, in seconds from its start."""
    (folder / "timeline.json").write_text(json.dumps(list(spans)) + "\n", encoding="utf-8")
