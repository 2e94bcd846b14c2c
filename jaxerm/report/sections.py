"""The parts a report is made of, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from jaxerm.critique import Critique

Picture = np.ndarray | Image.Image | str | Path
"""uint8[H, W, 3] (or [H, W], or RGBA), a PIL image, or the path of one."""

Said = Critique | str | None
"""A critique, drawn as a list with its severities; or any text, shown as it is."""


@dataclass
class Curves:
    """Numbers over steps.

    Attributes:
      series: label -> (steps, values), of equal length; None and NaN leave a gap.
      separate: one small chart for each series, each with its own scale, instead of all in one.
      markers: step -> word, drawn as a vertical line: where a phase begins, say.
      others: name of another run -> its series, drawn over those of the same label; only with `separate`.
      name: of the run the series are of, where there are others.
    """

    kind: ClassVar[str] = "curves"
    title: str
    series: Mapping[str, tuple[Sequence[float], Sequence[float | None]]]
    note: str = ""
    separate: bool = False
    markers: Mapping[float, str] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float | None]]]] = field(default_factory=dict)
    name: str = ""


@dataclass
class TimeLine:
    """Where the time of each step goes, and what happened when within one of them.

    Attributes:
      steps: with figures.
      parts: kind of work -> seconds at each step; None where it is missing.
      total: seconds of each step.
      spans: step -> spans of device and host, see `bars.lanes`.
    """

    kind: ClassVar[str] = "timeline"
    title: str
    steps: Sequence[int]
    parts: Mapping[str, Sequence[float | None]]
    total: Sequence[float | None]
    spans: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    note: str = ""


@dataclass
class Listing:
    """Text as it is, folded away until it is asked for."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str
    note: str = ""


@dataclass
class Pair:
    """One pair and what was said of it: `critique` by the model, `truth` by the ledger."""

    reference: Picture
    prediction: Picture
    critique: Said
    truth: Said = None
    caption: str = ""


@dataclass
class PairGallery:
    """Pairs side by side with their critiques."""

    kind: ClassVar[str] = "pairs"
    title: str
    rows: Sequence[Pair]
    note: str = ""


@dataclass
class Rollout:
    """One answer of the policy. `image` None: it did not render. `reward` None: it was not scored.

    Attributes:
      parts: name of a reward -> what it gave.
      critique: what the reward model said of it.
    """

    image: Picture | None
    code: str
    reward: float | None
    advantage: float | None = None
    note: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    critique: Said = None


@dataclass
class RolloutGallery:
    """All answers to one prompt, with their rewards and advantages."""

    kind: ClassVar[str] = "rollouts"
    title: str
    reference: Picture
    rollouts: Sequence[Rollout]
    prompt: str = ""
    note: str = ""


@dataclass
class Round:
    """One round of a refinement: what was drawn, and what the reward model said of it."""

    image: Picture | None
    code: str
    critique: Said
    reward: float | None


@dataclass
class Refinement:
    """Draft, critique, revision, and so on; `kept` is the index of the round that was kept (None: the best reward)."""

    kind: ClassVar[str] = "refinement"
    title: str
    reference: Picture
    rounds: Sequence[Round]
    note: str = ""
    kept: int | None = None


@dataclass
class Figures:
    """A table: the first column names the row, numbers are set to the right."""

    kind: ClassVar[str] = "figures"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


Section = Curves | TimeLine | PairGallery | RolloutGallery | Refinement | Figures | Listing
