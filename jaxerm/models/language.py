"""A loaded model with its processor: what a user calls, and what rewards, training and refinement are built on."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxerm.device_clock import dispatched
from jaxerm.models.attention import XLA, Kernel
from jaxerm.models.hub import model_directory
from jaxerm.models.lora import merge_lora
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.inputs import Inputs, Sample, batch_inputs
from jaxerm.models.qwen3_vl.model import Qwen3VL
from jaxerm.models.qwen3_vl.processor import Messages, Processor
from jaxerm.models.qwen3_vl.weights import load_weights, save_weights
from jaxerm.models.sampler import Generated, Sampling, forbidden_tokens, generate, rearrange, row_keys
from jaxerm.models.sharding import shard_rows, to_host

_SETTINGS = "jaxerm.json"
_STEP = 64
"""Prompts are padded to multiples of this many tokens and patches: few shapes, few compilations."""


def _round_up(size: int, step: int = _STEP) -> int:
    return max(step, -(-size // step) * step)


def _shape(samples: Sequence[Sample], length: int | None, patches: int | None) -> tuple[int, int]:
    """The given shape of a batch, or the next multiples that hold its samples."""
    if length is None:
        length = _round_up(max(len(sample.tokens) for sample in samples))
    if patches is None:
        most = max(len(sample.patches) for sample in samples)
        patches = _round_up(most) if most else 0
    return length, patches


@jax.jit(static_argnames=("graphdef",))
def _logits(graphdef, params, inputs):
    return nnx.merge(graphdef, params)(inputs)


@dataclass
class LanguageModel:
    """Weights, processor and settings of one model directory.

    Attributes:
      graphdef: the model's definition, static.
      params: its parameters, a pytree.
      processor: messages -> samples.
      settings: what ``jaxerm.json`` of the directory says, such as the prompt set it was trained on.
    """

    graphdef: nnx.GraphDef
    params: Any
    processor: Processor
    settings: dict[str, Any] = field(default_factory=dict)
    _rearranged: tuple[list[weakref.ref], Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def config(self) -> Qwen3VLConfig:
        return self.processor.config

    @cached_property
    def banned(self) -> np.ndarray:
        """bool[vocab_size], true at tokens no answer may hold."""
        return forbidden_tokens(self.config, self.processor.tokenizer)

    @property
    def module(self) -> Qwen3VL:
        """The NNX module, put together from definition and parameters."""
        return nnx.merge(self.graphdef, self.params)

    def batch(self, samples: Sequence[Sample], *, length: int | None = None, patches: int | None = None) -> Inputs:
        """Pads samples to one shape: the given one, or the next multiple of 64 tokens and patches."""
        length, patches = _shape(samples, length, patches)
        return batch_inputs(samples, self.config, length=length, patches=patches)

    def logits(self, messages: Messages) -> np.ndarray:
        """Logits at every token of a conversation (no generation prompt added), float32[S, vocab_size].

        Raises:
          FileNotFoundError, ValueError: an image that cannot be read.
        """
        sample = self.processor.sample(messages, add_generation_prompt=False)
        out = _logits(self.graphdef, self.params, self.batch([sample]))
        return np.asarray(out[0, : len(sample.tokens)])

    def answer(
        self,
        samples: Sequence[Sample],
        sampling: Sampling,
        *,
        max_new_tokens: int,
        seed: int = 0,
        n: int = 1,
        length: int | None = None,
        patches: int | None = None,
        rows: int | None = None,
        params: Any = None,
    ) -> Generated:
        """Continues many prompts at once.

        Args:
          samples: the prompts.
          sampling: how tokens are drawn.
          max_new_tokens: longest answer, the end of turn included.
          seed: with the row number it decides what is drawn.
          n: answers a prompt, sharing one prefill; answers to prompt b stand in rows b * n to b * n + n - 1.
          length, patches: the static shape of the prompts; the next multiple of 64 if None.
          rows: prompts run at once (the last lot is filled up and cut), so that any number compiles once.
          params: other parameters than the model's own, of the same shape.

        Returns:
          NumPy arrays in a `Generated`, one row an answer.
        """
        length, patches = _shape(samples, length, patches)
        rows = rows or len(samples)
        lots = []
        for start in range(0, len(samples), rows):
            lot = list(samples[start : start + rows])
            began = self.start(
                lot + [lot[-1]] * (rows - len(lot)),
                sampling,
                max_new_tokens=max_new_tokens,
                seed=seed,
                n=n,
                length=length,
                patches=patches,
                first=start,
                params=params,
            )
            keep = len(lot) * n
            lots.append(jax.tree.map(lambda x, keep=keep: x[:keep], to_host(began)))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *lots)

    def start(
        self,
        samples: Sequence[Sample],
        sampling: Sampling,
        *,
        max_new_tokens: int,
        seed: int = 0,
        n: int = 1,
        length: int,
        patches: int,
        first: int = 0,
        params: Any = None,
    ) -> Generated:
        """Begins to continue one lot of prompts and returns before it is done; arguments as in `answer`.

        Args:
          first: number of the first prompt among all: it decides, with the seed, what is drawn.

        Returns:
          Arrays on the device, for `sharding.to_host`.
        """
        params = self.params if params is None else params
        inputs = self.batch(samples, length=length, patches=patches)
        began = time.monotonic()
        out = generate(
            self.graphdef,
            params,
            shard_rows(inputs, params),
            jnp.asarray(self.banned),
            row_keys(seed, np.arange(len(samples) * n) + first * n),
            sampling.arrays(),
            max_new_tokens=max_new_tokens,
            samples=n,
            rearranged=self._for_writing(params) if jax.default_backend() == "cpu" else None,
        )
        dispatched(out, began)
        return out

    def _for_writing(self, params: Any) -> tuple[nnx.GraphDef, Any]:
        """See `sampler.rearrange`; kept for as long as the same parameters are asked for."""
        leaves = jax.tree.leaves(params)
        if self._rearranged is None or any(
            known() is not x for known, x in zip(self._rearranged[0], leaves, strict=True)
        ):
            self._rearranged = None  # Free before the next is made.
            self._rearranged = [weakref.ref(leaf) for leaf in leaves], rearrange(self.graphdef, params)
        return self._rearranged[1]

    def text(self, generated: Generated) -> list[str]:
        """The answers as text, their end of turn cut off."""
        return [
            self.processor.decode(tokens[: length - int(done)])
            for tokens, length, done in zip(generated.tokens, generated.lengths, generated.finished, strict=True)
        ]

    def generate(
        self,
        messages: Messages,
        max_new_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        top_p: float = 1.0,
        top_k: int = 0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
    ) -> str:
        """Answers chat messages with images (PIL, uint8 array or path); for the settings see `sampler.Sampling`.

        Raises:
          FileNotFoundError, ValueError: an image that cannot be read; sampling settings out of range.
        """
        sample = self.processor.sample(messages)
        sampling = Sampling(temperature, top_p, top_k, min_p, repetition_penalty, presence_penalty)
        out = self.answer([sample], sampling, max_new_tokens=max_new_tokens, seed=seed)
        return self.text(out)[0]

    def save(self, directory: str | Path, dtype=jnp.bfloat16) -> None:
        """Writes a Hugging Face directory: config, weights, tokenizer, chat template, preprocessor, our settings.

        Low-rank updates are merged into the weights.
        """
        directory = Path(directory)
        save_weights(directory, merge_lora(self.module), dtype)
        if jax.process_index():
            return
        self.processor.save(directory)
        config = self.config
        stops = config.stop_token_ids
        ends = stops[0] if len(stops) == 1 else list(stops)
        generation = {"eos_token_id": ends, "pad_token_id": config.pad_token_id, "do_sample": False}
        (directory / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
        if self.settings:
            (directory / _SETTINGS).write_text(json.dumps(self.settings, indent=2) + "\n")


def load(
    path: str | Path,
    dtype: str = "float32",
    param_dtype: str | None = None,
    *,
    mesh: Mesh | None = None,
    kernel: Kernel = XLA,
) -> LanguageModel:
    """Loads a Qwen3-VL directory in Hugging Face layout.

    Args:
      path: the directory, or a hub name whose files are in the local cache.
      dtype: of the computation, ``float32`` or ``bfloat16``.
      param_dtype: of the parameters; `dtype` if None.
      mesh: what the parameters are spread over as they are read; the default device if None.
      kernel: what computes attention, such as `Kernel.best(jax.default_backend(), mesh)`.

    Raises:
      FileNotFoundError: the directory, or a file it should hold, is not there.
      ValueError: the files contradict each other, or hold another architecture.
    """
    path = model_directory(path)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"{path} is no model directory: it has no config.json")
    try:
        config = Qwen3VLConfig.load(path)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path / 'config.json'} is not a Qwen3-VL config: {error!r}") from None
    kinds = {"dtype": jnp.dtype(dtype), "param_dtype": jnp.dtype(param_dtype or dtype)}
    graphdef, params = nnx.split(load_weights(path, config, **kinds, mesh=mesh, kernel=kernel))
    settings = path / _SETTINGS
    return LanguageModel(
        graphdef,
        params,
        Processor(path, config),
        json.loads(settings.read_text()) if settings.is_file() else {},
    )
