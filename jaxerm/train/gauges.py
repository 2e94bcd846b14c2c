"""What a step costs: tokens a second, the share of the chips' peak it reaches (MFU), memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxerm.models.chips import GIB, peak_flops
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.flops import samples_flops, segment_sizes
from jaxerm.models.qwen3_vl.inputs import Inputs
from jaxerm.recipe import GrpoRecipe, SftRecipe
from jaxerm.train.rollouts import Rollouts


@dataclass(frozen=True)
class Work:
    """Model FLOPs of a step, and the tokens of its samples: prompts, images and answers."""

    flops: float
    tokens: int


def passes_of(recipe: SftRecipe | GrpoRecipe) -> tuple[float, float]:
    """Work of a training step, in forward passes of the text and of the vision tower."""
    lora, frozen = recipe.lora, recipe.freeze
    text = 2.0 if lora is not None or "text" in frozen else 3.0
    if lora is not None:
        return text, 2.0 if lora.vision else 1.0
    return text, 1.0 if {"vision", "merger"} <= {*frozen} else 3.0


class Gauges:
    """Figures of the steps of one run, by the names of ``metrics.jsonl``.

    Model FLOPs are those of the samples, padding and recomputation left out, and the vocabulary at the answers alone: a
    forward pass, and for what is trained twice as much again. LoRA needs no gradients of the kernels, and what stands
    still below all that is trained none.

    Args:
      recipe: says what is trained.
      config: of the model that is.
      mesh: it is trained on.
    """

    def __init__(self, recipe: SftRecipe | GrpoRecipe, config: Qwen3VLConfig, mesh: jax.sharding.Mesh):
        self.config = config
        # Of this process, whether the mesh has a part of them or another role does.
        self.devices = jax.local_devices()
        peak = peak_flops(mesh.devices.flat[0].device_kind)
        self.peak = None if peak is None else peak * mesh.size
        self.text, self.vision = passes_of(recipe)

    def _work(self, lengths: list[int], answered: int, patches: Iterable[int], passes: int, scale: float = 1.0) -> Work:
        text, vision = samples_flops(self.config, lengths, answered, patches)
        flops = (self.text + passes) * text + (self.vision + passes) * vision
        return Work(scale * flops, round(scale * sum(lengths)))

    def batch_work(self, inputs: Inputs, weights: np.ndarray, rows: int) -> Work:
        """What an SFT step takes.

        Args:
          inputs, weights: host arrays, the rows of this process; the others are taken to be as full.
          rows: of all processes.
        """
        answered = np.count_nonzero(weights)
        images = () if inputs.vision is None else segment_sizes(inputs.vision.segment_ids)
        return self._work([*segment_sizes(inputs.segment_ids)], answered, images, 0, rows / len(inputs.tokens))

    def rollouts_work(self, rollouts: Rollouts, passes: int) -> Work:
        """What the update of a GRPO step takes.

        Args:
          rollouts: of all processes.
          passes: forward passes beside the training step's own, such as the reference policy's.
        """
        prompts = [rollouts.prompts[row // rollouts.n] for row in range(len(rollouts.texts))]
        answers = np.asarray(rollouts.generated.lengths).tolist()
        lengths = [len(prompt.tokens) + answer for prompt, answer in zip(prompts, answers, strict=True)]
        return self._work(lengths, sum(answers), (t * h * w for prompt in prompts for t, h, w in prompt.grids), passes)

    def speed(self, work: Work, seconds: float, busy_seconds: float | None = None) -> dict[str, float]:
        """``tokens_per_s``, ``model_tflops`` of the step, and ``mfu``, which is not there without a known peak.

        Args:
          work: of the step.
          seconds: it took.
          busy_seconds: those in which the FLOPs were done; all if None.
        """
        found = {"tokens_per_s": work.tokens / seconds, "model_tflops": work.flops / 1e12}
        if self.peak is not None:
            found["mfu"] = work.flops / (busy_seconds or seconds) / self.peak
        return found

    def memory(self) -> dict[str, float]:
        """``device_gib`` and ``device_peak_gib`` of the fullest device, where the backend says, and ``host_gib``."""
        found = {}
        stats = [stats for device in self.devices if (stats := device.memory_stats())]
        for name, key in (("device_gib", "bytes_in_use"), ("device_peak_gib", "peak_bytes_in_use")):
            sizes = [one[key] for one in stats if key in one]
            if sizes:
                found[name] = max(sizes) / GIB
        if (size := host_bytes()) is not None:
            found["host_gib"] = size / GIB
        return found


def host_bytes() -> int | None:
    """Resident memory of this process, now; its peak where the system tells no more."""
    status = Path("/proc/self/statm")
    if status.is_file():
        import resource

        return int(status.read_text().split()[1]) * resource.getpagesize()
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
