"""Ways to the truth about an attempt: comparing the programs, or asking a teacher; and a router that mixes them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jaxerm.critique import Critique, CritiqueError, Discrepancy, Task, parse_critique
from jaxerm.data.chat import Chat
from jaxerm.data.natural import compare
from jaxerm.data.natural.drawing import compare_drawings
from jaxerm.data.pairs import Pair
from jaxerm.data.program import Edit
from jaxerm.data.visible import differs
from jaxerm.prompts import Prompts
from jaxerm.render import RenderPool


@dataclass(frozen=True)
class Attempt:
    """What a policy made of a picture.

    Attributes:
      id: of the attempt; decides its route.
      task: of both programs.
      reference_code: what drew the picture; empty where nobody knows.
      code: the policy's.
      reference: uint8[H, W, 3], the picture.
      image: uint8[h, w, 3], the render of `code`.
    """

    id: str
    task: Task
    reference_code: str
    code: str
    reference: np.ndarray
    image: np.ndarray


class Route(Protocol):
    """Annotates attempts; None where it cannot say."""

    name: str

    def annotate(self, attempt: Attempt) -> tuple[Edit, ...] | None: ...


class Structure:
    """The two programs compared.

    Args:
      pool: runs charts.
    """

    name = "structure"

    def __init__(self, pool: RenderPool):
        self._pool = pool

    def annotate(self, attempt: Attempt) -> tuple[Edit, ...] | None:
        """See `Route`."""
        if not attempt.reference_code:
            return None
        try:
            return compare(attempt.task, attempt.reference_code, attempt.code, self._pool)
        except ValueError:
            return None


class DrawingShapes:
    """Generated drawings, shape by shape; nothing of attempts that are anything else."""

    name = "shapes"

    def annotate(self, attempt: Attempt) -> tuple[Edit, ...] | None:
        """See `Route`."""
        return compare_drawings(attempt.reference_code, attempt.code)


class Teacher:
    """A larger model behind an OpenAI-compatible address, asked with the reward model's own prompt.

    What it says of things that are in neither program, and in categories in which the programs do not differ, is
    dropped: the filter the paper's annotations passed.

    Args:
      chat: the address.
      structure: compares programs for the filter; None leaves out that part of it.
      prompts: prompt set.
      tries: answers asked for, while they cannot be read.
      temperature: of the tries after the first.
    """

    def __init__(
        self,
        chat: Chat,
        structure: Structure | None = None,
        *,
        prompts: str = "full",
        tries: int = 3,
        temperature: float = 0.7,
    ):
        self.name, self._chat, self._structure = chat.model, chat, structure
        self._prompts, self._tries, self._temperature = Prompts(prompts), tries, temperature

    def annotate(self, attempt: Attempt) -> tuple[Edit, ...] | None:
        """See `Route`.

        Raises:
          ChatError: the address does not answer.
        """
        messages = self._prompts.critique(attempt.task, attempt.reference, attempt.image)
        for seed in range(self._tries):
            reply = self._chat.ask(messages, temperature=self._temperature if seed else 0.0, seed=seed)
            try:
                critique = parse_critique(reply.text, attempt.task)
            except CritiqueError:
                continue
            return self._filtered(critique.errors, attempt)
        return None

    def _filtered(self, errors: Sequence[Discrepancy], attempt: Attempt) -> tuple[Edit, ...]:
        known = self._structure.annotate(attempt) if self._structure is not None else None
        categories = None if known is None else {edit.category for edit in known}
        kept = [
            error
            for error in errors
            if (categories is None or error.category in categories)
            and (not attempt.reference_code or mentions_fit(error.description, attempt.reference_code, attempt.code))
        ]
        return tuple(Edit("teacher", e.category, e.severity, e.location, e.description) for e in dict.fromkeys(kept))


_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)")
_FIGURE = re.compile(r"(?<![\w.#])-?\d+(?:\.\d+)?(?![\w.]*[\w%])")


def mentions_fit(text: str, *codes: str) -> bool:
    """Whether what a claim quotes, and the numbers of three digits or with decimals it names, stand in the programs.

    Smaller numbers count things; shares in percent are computed.
    """
    whole = " ".join(" ".join(codes).split()).casefold()
    for found in _QUOTED.finditer(text):
        quoted = next(group for group in found.groups() if group)
        if " ".join(quoted.split()).casefold().rstrip(".,") not in whole:
            return False
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", whole)}
    for number in _FIGURE.findall(_QUOTED.sub(" ", text)):
        value = abs(float(number))
        if (value >= 100 or not value.is_integer()) and not any(abs(value - n) <= 0.01 * value for n in numbers):
            return False
    return True


class Router:
    """Sends each attempt down one of several routes, by weight; to the next one where a route cannot say.

    The same attempt takes the same route on every machine and in every run.

    Args:
      routes: (route, weight).
      seed: of the draw.

    Attributes:
      counts: what became of the attempts: how many each route annotated, looked alike, or stayed unknown.

    Raises:
      ValueError: no route, or a weight that is not positive.
    """

    name = "router"

    def __init__(self, routes: Sequence[tuple[Route, float]], seed: int = 0):
        if not routes or any(weight <= 0 for _, weight in routes):
            raise ValueError(f"a router needs routes with positive weights, not {[weight for _, weight in routes]}")
        self._routes = [route for route, _ in routes]
        self._shares = np.array([weight for _, weight in routes], float) / sum(weight for _, weight in routes)
        self._seed = seed
        self.counts: Counter[str] = Counter()

    def annotate(self, attempt: Attempt) -> tuple[Edit, ...] | None:
        """The ledger by the route drawn, or the next that has one; nothing where nothing can be seen."""
        if not differs(attempt.reference, attempt.image):
            self.counts["alike"] += 1
            return ()
        key = int.from_bytes(hashlib.sha256(attempt.id.encode()).digest()[:8], "big")
        rng = np.random.Generator(np.random.Philox(key=[self._seed, key]))
        for place in rng.choice(len(self._routes), size=len(self._routes), replace=False, p=self._shares):
            edits = self._routes[place].annotate(attempt)
            if edits is not None:
                self.counts[self._routes[place].name] += 1
                return edits
        self.counts["unknown"] += 1
        return None


def natural_pairs(attempts: Iterable[Attempt], route: Route, threads: int = 8) -> Iterator[Pair]:
    """Pairs of attempts that could be annotated, in order.

    Args:
      attempts: of a policy.
      route: annotates them: one way to the truth, or a `Router` of several.
      threads: attempts in hand at a time: a teacher takes seconds to answer.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: list = []
        for attempt in attempts:
            pending.append((attempt, pool.submit(route.annotate, attempt)))
            if len(pending) >= 2 * threads:
                yield from _pair(*pending.pop(0))
        for entry in pending:
            yield from _pair(*entry)


def _pair(attempt: Attempt, future) -> Iterator[Pair]:
    edits = future.result()
    if edits is not None:
        critique = Critique(attempt.task, tuple(edit.discrepancy for edit in edits))
        codes = attempt.reference_code, attempt.code
        yield Pair(attempt.id, attempt.task, *codes, attempt.reference, attempt.image, critique, edits)
