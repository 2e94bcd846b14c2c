"""Natural inference, first half: what a policy makes of pictures, for the routes that know what is wrong with it.

Corruptions are one or a few edits of a perfect program. A policy's own mistakes come in other numbers and other
company, and they are what its judge will be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxerm.data.natural.routes import Attempt
from jaxerm.data.sources import Source
from jaxerm.models.language import LanguageModel
from jaxerm.models.sampler import Sampling
from jaxerm.prompts import Prompts
from jaxerm.render import RenderPool, extract_code
from jaxerm.train.rollouts import sample_rollouts


def sample_attempts(
    policy: LanguageModel,
    source: Source,
    indices: Sequence[int],
    pool: RenderPool,
    prompts: Prompts,
    *,
    n: int,
    max_new_tokens: int,
    length: int,
    patches: int,
    sampling: Sampling | None = None,
    seed: int = 0,
    rows: int = 32,
) -> Iterator[Attempt]:
    """Samples answers of a policy and yields those that render, at the size of their reference.

    Args:
      policy: what writes the attempts.
      source, indices: of the references.
      pool: renders both.
      prompts: of the policy.
      n: answers to each reference.
      max_new_tokens, length, patches: static shapes of answers and prompts.
      sampling: temperature 1 if None.
      seed: of the sampling.
      rows: references asked about at once.
    """
    for start in range(0, len(indices), rows):
        programs = [source[index] for index in indices[start : start + rows]]
        pictures = [(p.task, pool.render(p.task, p.code).image) for p in programs]
        rollouts = sample_rollouts(
            policy,
            policy.params,
            pictures,
            prompts,
            sampling or Sampling(1.0),
            n=n,
            max_new_tokens=max_new_tokens,
            length=length,
            patches=patches,
            seed=seed + start,
            rows=rows,
        )
        for row, text in enumerate(rollouts.texts):
            program, (task, reference) = programs[row // n], pictures[row // n]
            code = extract_code(text, task)
            render = pool.render(task, code) if code is not None else None
            if render is not None and render.ok and render.image.shape == reference.shape:
                name = f"{program.name}-attempt-{seed}-{row % n}"
                yield Attempt(name, task, program.code, code, reference, render.image)
