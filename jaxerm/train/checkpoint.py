"""Checkpoints by Orbax: the training state, and where the data iterator stands, in one step folder.

Orbax writes beside, and renames when all is there: a checkpoint that a crash cut short is never seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy


class _KeepBest:
    """Never deletes the best one."""

    def __init__(self, checkpoints: Checkpoints):
        self.checkpoints = checkpoints

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        return [entry.step == self.checkpoints.best for entry in checkpoints]


class Checkpoints:
    """The checkpoints of one run: the newest, and the best on held-out material.

    Args:
      directory: absolute.
      keep: how many of the newest stay; older ones but the best are deleted.
      read_only: change nothing there: another process may be writing.

    Attributes:
      best: step of the one with the lowest held-out loss, or what stands for it; None if none was measured.
      best_loss: that loss.
    """

    def __init__(self, directory: Path, keep: int = 1, *, read_only: bool = False):
        self.best: int | None = None
        self.best_loss = float("inf")
        policies = [preservation_policy.LatestN(keep), _KeepBest(self)]
        options = ocp.CheckpointManagerOptions(
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
        )
        self.manager = ocp.CheckpointManager(directory, options=options)
        if self.newest is not None:
            best = self._read(self.newest, extra=ocp.args.JsonRestore()).extra.get("best")
            self.best, self.best_loss = best or (None, float("inf"))

    @property
    def steps(self) -> list[int]:
        """Of all that are there, in order."""
        return sorted(self.manager.all_steps())

    @property
    def newest(self) -> int | None:
        """Its step; None if there is none."""
        return self.manager.latest_step()

    def _read(self, step: int, **items: Any) -> Any:
        return self.manager.restore(step, args=ocp.args.Composite(**items))

    def save(self, step: int, state: Any, extra: dict[str, Any], loss: float | None = None) -> None:
        """Writes in the background; the arrays may be donated as soon as this returns. A step is written once.

        Args:
          step: optimiser steps taken.
          state: a pytree of arrays.
          extra: JSON values, such as the state of a data iterator.
          loss: held-out, or whatever is the better the lower, if it was measured at this step.
        """
        if step in self.steps:
            return
        if loss is not None and loss < self.best_loss:
            self.best, self.best_loss = step, loss
        extra = {**extra, "best": None if self.best is None else [self.best, self.best_loss]}
        items = {"state": ocp.args.StandardSave(state), "extra": ocp.args.JsonSave(extra)}
        self.manager.save(step, args=ocp.args.Composite(**items), force=True)

    def restore(self, like: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]] | None:
        """A checkpoint as (step, state, extra), or None if there is none.

        Args:
          like: a pytree of the same structure; each array comes back with its shape, dtype and sharding, whatever mesh
            it was written from.
          step: which; the newest if None.
        """
        step = self.newest if step is None else step
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        read = self._read(step, state=ocp.args.StandardRestore(abstract), extra=ocp.args.JsonRestore())
        return step, read.state, read.extra

    def wait(self) -> None:
        """Returns when everything that was saved is on disk."""
        self.manager.wait_until_finished()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: Any) -> None:
        self.wait()
        self.manager.close()
