"""Three stages of a batch, each a part ahead of the next: while one part is generated, earlier ones are rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Begun = TypeVar("_Begun")
_Drawing = TypeVar("_Drawing")
_Scored = TypeVar("_Scored")


def staged(
    count: int,
    generate: Callable[[int], _Begun],
    render: Callable[[int, _Begun], _Drawing],
    score: Callable[[int, _Drawing], _Scored],
    *,
    ahead: bool = True,
) -> list[_Scored]:
    """Runs the parts of a batch through all stages, in one thread and always in the same order.

    The device gets part k + 2 to generate before the host turns to rendering part k + 1 and scoring part k::

        device  | generate 0 | generate 1 | generate 2 | score 0 | ...
        workers |            | render 0   | render 1   | render 2
        host    |              reads 0      reads 1      reads 2

    The order is a rule and not a race, so that processes which share a mesh call the same programs in the same order.

    Args:
      count: of parts.
      generate: begins to generate part k, and returns at once.
      render: waits until part k is generated, hands its renders out, and returns at once.
      score: waits for the renders of part k, and returns when they are scored.
      ahead: False takes each part through all stages before the next begins.
    """
    begun: list[_Begun] = []
    drawings: list[_Drawing] = []
    results: list[_Scored] = []
    lag = 1 if ahead else 0
    for tick in range(count + 2 * lag):
        if tick < count:
            begun.append(generate(tick))
        if 0 <= (part := tick - lag) < count:
            drawings.append(render(part, begun[part]))
        if 0 <= (part := tick - 2 * lag) < count:
            results.append(score(part, drawings[part]))
    return results
