"""The reward model behind an OpenAI-compatible address, such as vLLM's or SGLang's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jaxerm.critique import Critique, CritiqueError, Task, parse_critique
from jaxerm.data.chat import Chat, ChatError
from jaxerm.prompts import Prompts


class RemoteERM:
    """Asks for critiques as `VisualERM` does, only elsewhere. May be used from several threads.

    Where the address fails it fails for most: after `patience` questions in a row without an answer the rest of a lot
    is given up, so that a server that is gone costs a step minutes and not hours. The next lot asks again.

    Args:
      chat: the address, with its retries and timeouts.
      prompts: the prompt set.
      max_new_tokens: longest critique.
      retries: further tries at a critique that cannot be read, each with another seed.
      threads: questions at once.
      patience: questions in a row without an answer.
      sampling: further settings of the server, such as temperature and top_p; a server at temperature 0 is asked at
        0.7 where it wrote nothing readable.
    """

    on_mesh = False

    def __init__(
        self,
        chat: Chat,
        *,
        prompts: str = "full",
        max_new_tokens: int = 4096,
        retries: int = 2,
        threads: int = 64,
        patience: int = 16,
        **sampling: Any,
    ):
        self.chat, self.prompts, self.sampling = chat, Prompts(prompts), sampling
        self.max_new_tokens, self.retries, self.threads, self.patience = max_new_tokens, retries, threads, patience

    def critiques(
        self,
        pairs: Sequence[tuple[Task, Any, Any]],
        *,
        seed: int = 0,
        length: int | None = None,
        patches: int | None = None,
    ) -> list[Critique | CritiqueError | ChatError]:
        """Judges many attempts, in order; where there is no critique its error stands in its place.

        Args:
          pairs: (task, reference, attempt).
          seed: of sampling.
          length, patches: not looked at; prompts have no static shape here.
        """
        lot = _Lot(self.patience)
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda pair: self._critique(pair, seed, lot), pairs))

    def _critique(self, pair: tuple[Task, Any, Any], seed: int, lot: _Lot) -> Critique | CritiqueError | ChatError:
        unread = CritiqueError("not judged yet")
        for attempt in range(self.retries + 1):
            if (gone := lot.given_up()) is not None:
                return gone
            sampling = dict(self.sampling)
            if attempt and not sampling.get("temperature"):
                sampling["temperature"] = 0.7
            try:
                messages = self.prompts.critique(*pair)
                reply = self.chat.ask(messages, max_tokens=self.max_new_tokens, seed=seed + attempt, **sampling)
            except ChatError as error:
                lot.failed(error)
                return error
            lot.answered()
            try:
                return parse_critique(reply.text, pair[0])
            except CritiqueError as error:
                unread = error
        return unread


class _Lot:
    """How many questions in a row got no answer."""

    def __init__(self, patience: int):
        self.patience, self.row, self.last = patience, 0, ""
        self._lock = threading.Lock()

    def answered(self) -> None:
        with self._lock:
            self.row = 0

    def failed(self, error: ChatError) -> None:
        with self._lock:
            self.row, self.last = self.row + 1, str(error)

    def given_up(self) -> ChatError | None:
        with self._lock:
            if self.row < self.patience:
                return None
            return ChatError(f"given up after {self.row} questions in a row without an answer; the last: {self.last}")
