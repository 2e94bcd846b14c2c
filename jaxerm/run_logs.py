"""Where the metrics of a run go besides ``metrics.jsonl``: TensorBoard and Weights & Biases, under grouped names."""

from __future__ import annotations

import importlib.util
import io
import math
import os
import socket
import time
import uuid
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_GROUPS = {
    "train": ("loss", "policy_loss", "grad_norm", "learning_rate"),
    "rewards": ("reward", "reward_std", "severity", "render_rate", "unscored", "failed", "flat_groups", "rounds"),
    "policy": ("kl", "entropy", "entropy_estimate", "clip_fraction", "sampler_gap", "importance_weight"),
    "completions": ("answer_tokens", "finished"),
    "time": ("seconds", "idle"),
    "data": ("skipped", "broken_rows"),
    "system": ("mfu", "tokens_per_s", "model_tflops", "device_gib", "device_peak_gib", "host_gib"),
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
_RENAMED = {"reward": "rewards/mean", "reward_std": "rewards/std", "seconds": "time/step"}


def tag(name: str) -> str:
    """The grouped name of a metric: ``loss`` is ``train/loss``, ``reward`` is ``rewards/mean``, ``update_s`` is
    ``time/update``, ``eval_f1`` is ``eval/f1``; one that has a group keeps it."""
    if "/" in name:
        return name
    if name in _RENAMED:
        return _RENAMED[name]
    if name.startswith("eval_"):
        return f"eval/{name.removeprefix('eval_')}"
    if name.endswith("_s") and name not in _GROUP_OF:
        return f"time/{name.removesuffix('_s')}"
    return f"{_GROUP_OF.get(name, 'train')}/{name}"


def scalars(metrics: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Tag -> number of all that is one and finite; a metric that is a mapping gives one for each entry."""
    out: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            out |= scalars(value, f"{above}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            out[tag(f"{above}{name}")] = float(value)
    return out


class Log(Protocol):
    """Takes what a run tells of its steps; what was told is on disk, or handed over, when a call returns."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def image(self, step: int, name: str, image: np.ndarray) -> None: ...

    def text(self, step: int, name: str, text: str) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in a folder. Each first hides what earlier ones hold of its steps: a resumed run has no step twice.

    Args:
      folder: of the run; the files lie in its ``tensorboard``.
      first: step from which on earlier files no longer count.
    """

    def __init__(self, folder: Path, first: int):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2
        place = folder / "tensorboard"
        place.mkdir(parents=True, exist_ok=True)
        # Nanoseconds: files are read in the order of their names, and two may begin in one second.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        # A plain file and no thread: when `log` returns the line is as safe as that of metrics.jsonl.
        self._file = (place / name).open("wb")
        self._records = RecordWriter(self._file)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._write(event_pb2.Event(wall_time=time.time(), step=first, session_log=start))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._file.flush()

    def _values(self, step: int, *values: Any) -> None:
        summary = self._summary.Summary(value=values)
        self._write(self._event(wall_time=time.time(), step=step, summary=summary))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        value = self._summary.Summary.Value
        self._values(step, *(value(tag=name, simple_value=number) for name, number in values.items()))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        height, width = image.shape[:2]
        encoded = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=stream.getvalue()
        )
        self._values(step, self._summary.Summary.Value(tag=name, image=encoded))

    def text(self, step: int, name: str, text: str) -> None:
        from tensorboard.compat.proto import tensor_pb2, tensor_shape_pb2, types_pb2

        shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=[text.encode()])
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        meta = self._summary.SummaryMetadata(plugin_data=plugin)
        self._values(step, self._summary.Summary.Value(tag=name, tensor=tensor, metadata=meta))

    def close(self) -> None:
        self._file.close()


class Wandb:
    """A run of Weights & Biases, the same one when this one is resumed.

    Its server takes no step twice: those that a resumed run does again keep the values they had, which are the same.

    Args:
      folder: of the run; its file ``wandb_id`` says which run of the server it is.
      config: the recipe.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        import wandb

        self._wandb = wandb
        name = folder / "wandb_id"
        if not name.is_file():
            name.write_text(uuid.uuid4().hex[:16])
        project = os.environ.get("WANDB_PROJECT", "jaxerm")
        identity = name.read_text().strip()
        self._run = wandb.init(
            project=project, id=identity, name=folder.name, resume="allow", dir=str(folder), config=dict(config)
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        self._run.log({name: self._wandb.Image(image)}, step=step)

    def text(self, step: int, name: str, text: str) -> None:
        self._run.log({name: self._wandb.Html(f"<pre>{escape(text)}</pre>")}, step=step)

    def close(self) -> None:
        self._run.finish()


def missing(name: str) -> str | None:
    """What to install for a log of that name; None if it is there."""
    return None if importlib.util.find_spec(name) else f"log_to {name} needs a package: pip install 'jaxerm[{name}]'"


def open_log(name: str, folder: Path, first: int, config: Mapping[str, Any]) -> Log:
    """Opens ``tensorboard`` or ``wandb`` for a run folder whose steps from `first` on are told (again)."""
    return TensorBoard(folder, first) if name == "tensorboard" else Wandb(folder, config)
