"""What the editors of every task share: choosing edits of different things, applying them together and each alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxerm.data.program import Edit

_TRIES, _TRIES_OF_A_KIND = 10, 6


@dataclass(frozen=True)
class Step:
    """One edit that has been decided on and can be applied.

    Attributes:
      edit: its entry of the ledger.
      apply: does it, in place, to a copy of what it was decided on.
      touches: the things it changes, or makes untrue to speak about; no two edits share one.
      order: where its entry stands in the ledger.
    """

    edit: Edit
    apply: Callable[[Any], None]
    touches: frozenset[Hashable]
    order: tuple[float, ...] = ()


def pick(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    """One of the values, each as likely."""
    return values[int(rng.integers(len(values)))]


def other(rng: np.random.Generator, values: Sequence[Any], current: Any) -> Any:
    """One of the values that is not `current`."""
    return pick(rng, [value for value in values if value != current])


def choose(
    rng: np.random.Generator,
    makers: Sequence[Callable[[], Step | None]],
    n_edits: int,
    fits: Callable[[list[Step]], bool],
) -> list[Step]:
    """Up to `n_edits` steps that touch different things, in the order of the ledger.

    Args:
      rng: decides.
      makers: one for each kind of edit; draws a step from `rng`, or None where there is nothing for it to change.
      n_edits: as many as this, fewer if no more is found.
      fits: whether steps can be applied together, and leave something to look at.
    """
    steps: list[Step] = []
    for make in _drawn(rng, makers, _TRIES * n_edits):
        if len(steps) == n_edits:
            break
        taken = frozenset().union(*(known.touches for known in steps))
        # A kind that fits few things gets more than one try, or those that fit anywhere would crowd it out.
        for _ in range(_TRIES_OF_A_KIND):
            step = make()
            if step is None or any(_same_words(step.edit, known.edit) for known in steps):
                continue
            if not step.touches & taken and fits([*steps, step]):
                steps.append(step)
                break
    return sorted(steps, key=lambda step: step.order)


def _drawn(
    rng: np.random.Generator, makers: Sequence[Callable[[], Step | None]], n: int
) -> Iterator[Callable[[], Step | None]]:
    """`n` of the makers, each time any of them; then all once more, so that what fits a small program is found."""
    for _ in range(n):
        yield pick(rng, makers)
    for place in rng.permutation(len(makers)):
        yield makers[place]


def _same_words(one: Edit, two: Edit) -> bool:
    """Whether two entries cannot be told apart: the same was done to two things alike, side by side."""
    return (one.location, one.description) == (two.location, two.description)


def misspelt(rng: np.random.Generator, text: str) -> str | None:
    """The text with one letter replaced, dropped, or changed with its neighbour; None if it has no word to misspell."""
    places = [place for place, letter in enumerate(text) if letter.isalpha()]
    if len(places) < 2:
        return None
    kind = rng.integers(3)
    place = pick(rng, places)
    letter = text[place]
    if kind == 0 and len(places) > 2:
        changed = text[:place] + text[place + 1 :]
    elif kind == 1 and place + 1 < len(text) and text[place + 1].isalpha():
        changed = text[:place] + text[place + 1] + letter + text[place + 2 :]
    else:
        new = other(rng, "abcdefghiklmnoprstuvw", letter.lower())
        changed = text[:place] + (new.upper() if letter.isupper() else new) + text[place + 1 :]
    # Two letters alike change nothing when they change places; blanks at the ends cannot be seen.
    return changed if changed.strip() == changed and changed != text else None


def shown(text: str, limit: int = 24) -> str:
    """A text as it stands in a description: cut if it is long."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def contrast(new: str, old: str, limit: int = 24) -> tuple[str, str]:
    """Two texts as they stand in a description, cut so that what differs is there to read."""
    new, old = " ".join(new.split()), " ".join(old.split())
    same = next((at for at, (a, b) in enumerate(zip(new, old, strict=False)) if a != b), min(len(new), len(old)))
    start = max(0, same - limit // 2) if max(len(new), len(old)) > limit else 0
    lead = "..." if start else ""
    return lead + shown(new[start:], limit), lead + shown(old[start:], limit)


def near(one: str, two: str) -> bool:
    """Whether two texts of as many words differ in a letter or two."""
    if len(one.split()) != len(two.split()) or abs(len(one) - len(two)) > 1:
        return False
    shorter, longer = sorted((one, two), key=len)
    start = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    end = 0
    while end < len(shorter) - start and shorter[-1 - end] == longer[-1 - end]:
        end += 1
    return len(longer) - start - end <= 2
