"""Visual-ERM: a reward model on the mesh reads reference and attempt, and writes a critique."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxerm.critique import Critique, CritiqueError, Task, check_task, parse_critique
from jaxerm.models.language import LanguageModel, load
from jaxerm.models.qwen3_vl.inputs import Sample
from jaxerm.models.sampler import Sampling
from jaxerm.prompts import Prompts

_RETRY = Sampling(temperature=0.7, top_p=0.8, top_k=20)
"""How a critique is drawn again when the first cannot be read; greedy decoding would only repeat itself."""


class VisualERM:
    """The reward model. May be used from several threads; they are served one after the other.

    Args:
      model: a model directory, or a model that is loaded.
      prompts: the prompt set; what the directory's ``jaxerm.json`` says if None, else ``full``.
      sampling: greedy by default, so that the same pair gets the same critique.
      max_new_tokens: longest critique; what the directory says if None, else 4,096.
      retries: further tries at a critique that cannot be read.
      rows: pairs judged at once.
    """

    def __init__(
        self,
        model: str | Path | LanguageModel,
        *,
        prompts: str | None = None,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        retries: int = 2,
        rows: int | None = None,
    ):
        self.model = model if isinstance(model, LanguageModel) else load(model)
        settings = self.model.settings
        self.prompts = Prompts(prompts or settings.get("prompts", "full"))
        self.sampling = sampling or Sampling(0.0)
        self.max_new_tokens = max_new_tokens or settings.get("max_new_tokens", 4096)
        self.retries = retries
        self.rows = rows
        self._lock = threading.Lock()

    def critique(self, reference: Any, prediction: Any, task: str = "chart", seed: int = 0) -> Critique:
        """Judges one attempt.

        Args:
          reference: PIL image, uint8[H, W, 3] or path.
          prediction: the rendered attempt, likewise.
          task: ``chart``, ``table`` or ``svg``.
          seed: of sampling, where there is any.

        Raises:
          CritiqueError: the model wrote nothing readable, `retries` + 1 times.
        """
        result = self.critiques([(check_task(task), reference, prediction)], seed=seed)[0]
        if isinstance(result, CritiqueError):
            raise result
        return result

    def critiques(
        self,
        pairs: Sequence[tuple[Task, Any, Any]],
        *,
        seed: int = 0,
        length: int | None = None,
        patches: int | None = None,
    ) -> list[Critique | CritiqueError]:
        """Judges many attempts, in order; a critique that stayed unreadable is returned as its error.

        Args:
          pairs: (task, reference, attempt).
          seed: of sampling.
          length, patches: the static shape of the prompts; a pair that does not fit gets an error.
        """
        # One at a time: the mesh computes no faster for being asked twice, and a tokenizer is not made for threads.
        with self._lock:
            return self._critiques(pairs, seed, length, patches)

    def _critiques(self, pairs, seed, length, patches) -> list[Critique | CritiqueError]:
        made = [self._sample(pair, length, patches) for pair in pairs]
        samples = {i: sample for i, sample in enumerate(made) if isinstance(sample, Sample)}
        results = [sample if isinstance(sample, CritiqueError) else CritiqueError("not judged yet") for sample in made]
        open_ = list(samples)
        for attempt in range(self.retries + 1):
            if not open_:
                break
            generated = self.model.answer(
                [samples[i] for i in open_],
                self.sampling if attempt == 0 else _RETRY,
                max_new_tokens=self.max_new_tokens,
                seed=seed + attempt,
                length=length,
                patches=patches,
                rows=self.rows,
            )
            unread = []
            for i, text in zip(open_, self.model.text(generated), strict=True):
                try:
                    results[i] = parse_critique(text, pairs[i][0])
                except CritiqueError as error:
                    results[i] = error
                    unread.append(i)
            open_ = unread
        return results

    def _sample(self, pair: tuple[Task, Any, Any], length: int | None, patches: int | None) -> Sample | CritiqueError:
        """The prompt for one pair; one that cannot be made, or does not fit, is an error of this pair alone."""
        try:
            sample = self.model.processor.sample(self.prompts.critique(*pair))
        except ValueError as error:
            return CritiqueError(str(error))
        for found, limit, what in ((len(sample.tokens), length, "tokens"), (len(sample.patches), patches, "patches")):
            if limit is not None and found > limit:
                return CritiqueError(f"the prompt has {found} {what} and there is room for {limit}")
        return sample
