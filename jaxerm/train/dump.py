"""Rollouts on disk, with their images: what a person looks at to see what a policy does for its reward."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxerm.rewards.attempts import Attempt


def dump_rollouts(folder: Path, attempts: Sequence[Attempt], advantages: np.ndarray, n: int, groups: int = 4) -> None:
    """Writes the first groups of a step: ``rollouts.jsonl`` and a PNG for each reference and each render.

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


def dump_timeline(folder: Path, spans: Sequence[dict[str, Any]]) -> None:
    """Writes ``timeline.json``: what device and host did when in this step, in seconds from its start."""
    (folder / "timeline.json").write_text(json.dumps(list(spans)) + "\n", encoding="utf-8")
