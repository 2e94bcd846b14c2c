"""Critiques said again in other words and another order, so that which error is which is known."""

from __future__ import annotations

import re

import numpy as np

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.corruption import corrupt
from jaxerm.data.sources import open_source

_PHRASES = (
    (r"^(.*) is (.*), should be (.*)$", ("expected {2} for {0}, found {1}", "{0} reads {1} instead of {2}",
                                         "the {0} was {2} in the original but has become {1}")),
    (r"^(.*), should be (.*)$", ("drawn as {0} although the reference has {1}", "{1} was replaced with {0}")),
    (r"^(.*) is missing$", ("there is no {0}", "{0} was left out of the rendering", "the {0} has been omitted")),
    (r"^(.*) is extra$", ("an additional {0} that the reference does not contain", "{0} should not be there")),
    (r"^(.*) is moved (.*)$", ("{0} sits too far {1}", "the position of the {0} is shifted {1}")),
    (r"^(.*) are swapped$", ("the order of {0} is exchanged",)),
    (r"^(.*) is repeated$", ("{0} appears twice",)),
    (r"^(.*)$", ("the following differs: {0}",)),
)  # fmt: skip


def reworded(error: Discrepancy, rng: np.random.Generator) -> Discrepancy:
    """The same error by another speaker: other words, perhaps another severity, the place in the text or not at all."""
    text = error.description
    for pattern, phrases in _PHRASES:
        if found := re.match(pattern, text):
            text = phrases[rng.integers(len(phrases))].format(*found.groups())
            break
    if error.location and error.location not in text and rng.random() < 0.8:
        text = (f"{text}, at the {error.location}", f"{error.location}: {text}")[rng.integers(2)]
    severity = int(np.clip(error.severity + rng.integers(-1, 2), 1, 3))
    return Discrepancy(error.category, severity, text, None)


def known_matches(name: str, n: int, seed: int = 0):
    """Yields (predicted, annotated, pairs of numbers that are the same): some errors lost, some strange ones added."""
    source = open_source(name)
    for index in range(n):
        rng = np.random.Generator(np.random.Philox(key=[seed, index]))
        program = source[index % len(source)]
        truth = list(corrupt(program, rng, int(rng.integers(1, 6))).critique.errors)
        stranger = list(corrupt(source[(index + 1) % len(source)], rng, int(rng.integers(0, 3))).critique.errors)
        kept = [place for place in range(len(truth)) if rng.random() < 0.8]
        said = [(place, reworded(truth[place], rng)) for place in kept]
        known = {error.description for error in truth}
        said += [(None, reworded(error, rng)) for error in stranger if error.description not in known]
        said = [said[place] for place in rng.permutation(len(said))]
        pairs = {(number, place) for number, (place, _) in enumerate(said) if place is not None}
        task = program.task
        yield Critique(task, tuple(error for _, error in said)), Critique(task, tuple(truth)), pairs
