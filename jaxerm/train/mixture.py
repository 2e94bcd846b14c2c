"""From the mixture of a recipe to components of the pipeline: sources opened, pictures rendered, pairs made or read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxerm.data.conversations import Conversations
from jaxerm.data.examples import Example, pair_example, picture_example
from jaxerm.data.pair_files import LIST, PairFolder
from jaxerm.data.pairs import Pair, PairMaker, drawn
from jaxerm.data.pipeline import Component
from jaxerm.data.sources import open_source
from jaxerm.prompts import Prompts
from jaxerm.render import RenderPool

_PICTURE_ROLES = ("describe", "code")
_PAIRS_PER_PROGRAM = 1_000
"""Different corruptions drawn of one program before an epoch of pairs is over."""


def _pictures(source: Any, role: str, pool: RenderPool, prompts: Prompts):
    def make(index: int) -> Example:
        program = source[index]
        return picture_example(role, program, drawn(program, pool), prompts)

    return make


def _pairs(pair: Callable[[int], Pair], role: str, prompts: Prompts):
    return lambda index: pair_example(role, pair(index), prompts)


def components(
    mixture: Sequence[Any], pool: RenderPool, prompts: Prompts, *, seed: int, max_edits: int, clean_share: float
) -> list[Component]:
    """One component for each part of a recipe's mixture.

    Raises:
      ValueError: a source that does not exist, or is empty.
    """
    out = []
    for part in mixture:
        if (Path(part.source) / LIST).is_file():
            out.append(_written(part, prompts))
            continue
        if part.role == "conversation":
            talks = Conversations(part.source, **part.options)
            out.append(Component(talks.__getitem__, len(talks), part.weight))
            continue
        source = open_source(part.source, **part.options)
        if part.role in _PICTURE_ROLES:
            out.append(Component(_pictures(source, part.role, pool, prompts), len(source), part.weight))
            continue
        # To repair or to describe nothing teaches little; a judge must know the clean pair.
        clean = clean_share if part.role in ("critique", "compare", "compare_json") else 0.0
        maker = PairMaker(source, pool, seed=seed, max_edits=part.max_edits or max_edits, clean_share=clean)
        out.append(Component(_pairs(maker.make, part.role, prompts), len(source) * _PAIRS_PER_PROGRAM, part.weight))
    return out


def _written(part: Any, prompts: Prompts) -> Component:
    """The pairs that lie in a folder, as they are."""
    if part.role in (*_PICTURE_ROLES, "conversation") or part.options or part.max_edits:
        raise ValueError(
            f"{part.source} holds written pairs: it takes no options or max_edits, and no role {part.role}"
        )
    folder = PairFolder(part.source)
    if not len(folder):
        raise ValueError(f"there is no pair in {folder.path}")
    return Component(_pairs(folder.__getitem__, part.role, prompts), len(folder), part.weight)
