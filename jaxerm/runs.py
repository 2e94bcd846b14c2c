"""A run folder: the recipe it runs and one line of metrics a step, exact across interruptions."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jaxerm.recipe import Recipe, recipe_to_yaml
from jaxerm.run_logs import Log, missing, open_log, scalars

_LOGGING = {"log_every", "log_to", "rollouts_every", "watch"}
_MAY_CHANGE = {"out", "steps", "checkpoint_every", "keep_checkpoints", "mesh", *_LOGGING}
"""Keys whose change leaves a run the same run: how long, how often saved and told, on how many devices."""


class RunError(ValueError):
    """A run folder that cannot be used as asked. The message is one line, fit for a user."""


def _plain(value: Any) -> Any:
    """JSON form of a metric: numbers of any library become Python's; what is not finite becomes null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    number = value.item() if hasattr(value, "item") else float(value)
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Whole lines of a metrics file; stops at the first that a crash cut short."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            if not line.endswith(b"\n") or not isinstance(row, dict) or not isinstance(row.get("step"), int):
                return
            yield line, row


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl`` (or of the run folder that holds it), in order, without a torn last line."""
    path = Path(path)
    return [row for _, row in _lines(path / "metrics.jsonl" if path.is_dir() else path)]


class RunDir:
    """The folder of one run: ``config.yaml``, ``metrics.jsonl``, ``checkpoints/`` and whatever the trainer adds.

    What is logged goes to what the recipe's `log_to` names as well. A folder that holds the same recipe is taken up
    again; how long the run is and where it saves may differ.

    Args:
      path: the folder; made if it is not there.
      recipe: what runs. None only opens what is there.
      resume: take up a run though its recipe has changed.
      overwrite: delete the run that is there and begin anew.
      write: False on every process but the first of a multi-host run: nothing is written, `log` does nothing.

    Raises:
      RunError: the folder holds a run of another recipe, or something that is no run; or a package of `log_to` is
        not installed.
    """

    def __init__(
        self,
        path: str | Path,
        recipe: Recipe | None = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        write: bool = True,
    ):
        self.path = Path(path)
        self.write = write
        self._file: Any = None
        self._told = ""
        self._recipe = recipe
        self._logs: list[Log] | None = None
        if recipe is not None and (lacks := [what for name in recipe.log_to if (what := missing(name))]):
            raise RunError(lacks[0])
        if recipe is None:
            if not self.config_path.is_file():
                raise RunError(f"{self.path} is not a run folder: it has no config.yaml")
        else:
            self._claim(recipe_to_yaml(recipe), resume, overwrite)
        self.last_step = max((row["step"] for row in read_metrics(self.metrics_path)), default=-1)
        self._first = self.last_step + 1

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Absolute, as Orbax wants it."""
        return (self.path / "checkpoints").resolve()

    def _claim(self, config: str, resume: bool, overwrite: bool) -> None:
        try:
            there = sorted(item.name for item in self.path.iterdir()) if self.path.exists() else []
            if there and not self.config_path.is_file():
                raise RunError(f"{self.path} holds {there[0]!r} and no run; name another folder with out=FOLDER")
            if there and not overwrite and not resume:
                changed = self._changed(config)
                if changed:
                    raise RunError(
                        f"{self.path} holds a run with other settings ({', '.join(changed)}); "
                        "name another folder with out=FOLDER, or give --resume or --overwrite"
                    )
            if not self.write:
                return
            if overwrite and there:
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            scratch = self.config_path.with_suffix(".tmp")
            scratch.write_text(config, encoding="utf-8")
            os.replace(scratch, self.config_path)
        except OSError as error:
            raise RunError(f"{self.path}: {error.strerror or error}") from None

    def _changed(self, config: str) -> list[str]:
        """Keys in which the recipe in the folder and `config` differ, but for those that may."""
        new = yaml.safe_load(config)
        try:
            old = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            old = None
        if not isinstance(old, dict):
            return ["its config.yaml cannot be read"]
        return [key for key in {**old, **new} if key not in _MAY_CHANGE and old.get(key) != new.get(key)]

    def resume_at(self, step: int) -> None:
        """Drops every line after `step`, the last step of the restored checkpoint (-1: all), and any torn line."""
        self.close()
        self._first = step + 1
        if self.write and self.metrics_path.is_file():
            scratch = self.metrics_path.with_suffix(".tmp")
            with scratch.open("wb") as file:
                file.writelines(line for line, row in _lines(self.metrics_path) if row["step"] <= step)
            os.replace(scratch, self.metrics_path)
        self.last_step = min(self.last_step, step)

    def log(self, step: int, **metrics: Any) -> None:
        """Appends one line and flushes it. Numbers may be NumPy's or JAX's; NaN and infinity are written as null.

        Raises:
          ValueError: `step` is not after the last one written: `resume_at` was forgotten.
        """
        step = int(step)
        if step <= self.last_step:
            raise ValueError(f"step {step} is not after step {self.last_step}, the last in {self.metrics_path}")
        self.last_step = step
        if not self.write:
            return
        if self._file is None:
            self._file = self.metrics_path.open("a", encoding="utf-8")
        row = {"step": step, **{key: _plain(value) for key, value in metrics.items()}}
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()
        del row["step"]
        for log in self._open_logs():
            log.scalars(step, scalars(row))
            if row.get("alarms"):
                log.text(step, "alarms", "\n\n".join(row["alarms"]))

    def tell(self, **facts: Any) -> None:
        """Keeps in ``machine.json`` what the run finds out about the machine it is on: how code is isolated there."""
        told = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        if self.write and told != self._told:
            scratch = self.path / "machine.tmp"
            scratch.write_text(told, encoding="utf-8")
            os.replace(scratch, self.path / "machine.json")
            self._told = told

    def show(self, step: int, name: str, image: np.ndarray, text: str) -> None:
        """Hands a picture, uint8[H, W, 3], and what is to be read beside it to the logs that show such things."""
        if self.write:
            for log in self._open_logs():
                log.image(step, name, image)
                # A name of its own: TensorBoard knows one kind of thing by a name, W&B keeps the last.
                log.text(step, f"{name}/text", text)

    def _open_logs(self) -> list[Log]:
        if self._logs is None:
            names = self._recipe.log_to if self._recipe else ()
            config = self._recipe.model_dump() if names else {}
            self._logs = [open_log(name, self.path, self._first, config) for name in names]
        return self._logs

    def close(self) -> None:
        for log in self._logs or ():
            log.close()
        # Opened anew, a log would hide what this one wrote.
        self._first, self._logs = max(self._first, self.last_step + 1), None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
