"""Work of the host shared among the processes of a run: each does a part, and all know everything.

Programs on a mesh must be called by every process with the same shapes in the same order, and what decides them must
not differ: a render that timed out on one host, or two answers of one server, would part the processes for ever.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def gathered(value: Any) -> list[Any]:
    """The value of every process, in their order; each must call it. Values are pickled."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental.multihost_utils import process_allgather

    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = process_allgather(np.int64(data.size))
    padded = process_allgather(np.pad(data, (0, int(sizes.max()) - data.size)))
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(padded, sizes, strict=True)]


def shared(jobs: Sequence[_Job], start: Callable[[list[_Job]], Callable[[], list[_Result]]]) -> Callable[[], list]:
    """Begins jobs, every process its own part of them.

    Args:
      jobs: the same in every process.
      start: begins some of them and returns at once; what it returns waits for their results.

    Returns:
      A function that waits for the results of all jobs, in their order. Every process must call it.
    """
    count = jax.process_count()
    finish = start(list(jobs[jax.process_index() :: count]))

    def results() -> list[_Result]:
        parts = gathered(finish())
        return [parts[place % count][place // count] for place in range(len(jobs))]

    return results
