"""Checkpoints by Orbax: the training state, and where the data iterator stands, in one step folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


class Checkpoints:
    """The checkpoints of one run.

    Args:
      directory: absolute.
      keep: how many stay; older ones are deleted.
    """

    def __init__(self, directory: Path, keep: int):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self.manager = ocp.CheckpointManager(directory, options=options)

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """Writes in the background; the arrays may be donated as soon as this returns.

        Args:
          step: optimiser steps taken.
          state: a pytree of arrays.
          extra: JSON values, such as the state of a data iterator.
        """
        self.manager.save(
            step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), extra=ocp.args.JsonSave(extra))
        )

    def restore(self, like: Any) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest checkpoint as (step, state, extra), or None if there is none.

        Args:
          like: a pytree of the same structure; each array comes back with its shape, dtype and sharding.
        """
        step = self.manager.latest_step()
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        restored = self.manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), extra=ocp.args.JsonRestore())
        )
        return step, restored.state, restored.extra

    def close(self) -> None:
        """Waits for what is being written."""
        self.manager.wait_until_finished()
        self.manager.close()
