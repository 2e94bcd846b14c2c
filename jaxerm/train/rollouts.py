"""Rollouts of a policy: prompts in, answers sampled, and the padded rows a policy-gradient step is taken on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxerm.critique import Task
from jaxerm.models.language import LanguageModel
from jaxerm.models.qwen3_vl.inputs import Inputs, Sample, batch_inputs
from jaxerm.models.sampler import Generated, Sampling
from jaxerm.prompts import Prompts


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RolloutBatch:
    """Prompts with their answers behind them, one answer a row.

    Attributes:
      inputs: rows of S = prompt length + longest answer.
      mask: float32[R, S], 1 at the tokens of the answer, its end of turn included; 0 in rows that have no score.
      sampler_log_probs: float32[R, S], what the sampler drew them with; 0 elsewhere.
      advantages: float32[R].
    """

    inputs: Inputs
    mask: np.ndarray
    sampler_log_probs: np.ndarray
    advantages: np.ndarray


@dataclass(frozen=True)
class Rollouts:
    """Answers to a lot of prompts; answer i of prompt b stands at b * n + i.

    Attributes:
      prompts: one sample a prompt.
      generated: the answers.
      texts: the answers as text.
      n: answers a prompt.
    """

    prompts: list[Sample]
    generated: Generated
    texts: list[str]
    n: int


def sample_rollouts(
    policy: LanguageModel,
    params: Any,
    pictures: Sequence[tuple[Task, Any]],
    prompts: Prompts,
    sampling: Sampling,
    *,
    n: int,
    max_new_tokens: int,
    length: int,
    patches: int,
    seed: int,
    rows: int | None = None,
) -> Rollouts:
    """Asks the policy `n` times for the code of each picture.

    Args:
      policy: definition and processor.
      params: its weights as they are now.
      pictures: (task, reference image).
      length, patches: static shape of the prompts.
      seed: decides, with the row, what is drawn.
      rows: prompts sampled at once.
    """
    samples = [policy.processor.sample(prompts.code(task, image)) for task, image in pictures]
    generated = policy.answer(
        samples,
        sampling,
        max_new_tokens=max_new_tokens,
        seed=seed,
        n=n,
        length=length,
        patches=patches,
        rows=rows,
        params=params,
    )
    return Rollouts(samples, generated, policy.text(generated), n)


def take_groups(rollouts: Rollouts, groups: Sequence[int]) -> Rollouts:
    """The answers to some of the prompts."""
    rows = [group * rollouts.n + i for group in groups for i in range(rollouts.n)]
    generated = jax.tree.map(lambda x: np.asarray(x)[rows], rollouts.generated)
    return Rollouts([rollouts.prompts[g] for g in groups], generated, [rollouts.texts[row] for row in rows], rollouts.n)


def join_rollouts(parts: Sequence[Rollouts]) -> Rollouts:
    """Several lots of answers, one behind the other."""
    generated = jax.tree.map(lambda *x: np.concatenate([np.asarray(one) for one in x]), *(p.generated for p in parts))
    prompts = [prompt for part in parts for prompt in part.prompts]
    return Rollouts(prompts, generated, [text for part in parts for text in part.texts], parts[0].n)


def rollout_batch(
    rollouts: Rollouts, advantages: np.ndarray, counts: np.ndarray, policy: LanguageModel, *, length: int, patches: int
) -> RolloutBatch:
    """Puts answers behind their prompts.

    Args:
      rollouts: R answers.
      advantages: float32[R].
      counts: bool[R], false where an answer has no score: its tokens count in no term of the loss.
      length: S.
      patches: patches a row.
    """
    out = rollouts.generated
    rows = len(out.tokens)
    samples = []
    mask = np.zeros((rows, length), np.float32)
    log_probs = np.zeros((rows, length), np.float32)
    for row in range(rows):
        prompt = rollouts.prompts[row // rollouts.n]
        size = int(out.lengths[row])
        samples.append(prompt.extended(out.tokens[row, :size]))
        place = slice(len(prompt.tokens), len(prompt.tokens) + size)
        mask[row, place] = float(counts[row])
        log_probs[row, place] = out.log_probs[row, :size]
    inputs = batch_inputs(samples, policy.config, length=length, patches=patches)
    return RolloutBatch(inputs, mask, log_probs, np.asarray(advantages, np.float32))


def take_rows(batch: Any, start: int, stop: int) -> Any:
    """Rows `start` to `stop` of every array of a batch."""
    return jax.tree.map(lambda x: x[start:stop], batch)
