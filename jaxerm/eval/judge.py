"""Judges of critiques: which predicted error is which annotated one. One needs no network, one asks a model."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any, Literal, Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxerm.critique import Critique, Discrepancy
from jaxerm.data.chat import Chat, ChatError

Verdict = Literal["yes", "partial"]


@dataclass(frozen=True)
class Match:
    """Predicted error number `predicted` and annotated error number `annotated`, from 0, are the same."""

    predicted: int
    annotated: int
    verdict: Verdict


class Judge(Protocol):
    """Matches the errors of two critiques of one pair."""

    name: str

    def match(self, predicted: Critique, annotated: Critique) -> list[Match]:
        """One-to-one matches; raises ChatError where there is no judgement to be had."""
        ...


_TOKEN = re.compile(r"[-+]?\d+(?:\.\d+)?%?|[^\W\d_]+")
_IDLE = frozenset(
    "a an the is are was were be been being it its this that there of in on at to for with and or as by from than into "
    "should must ought expected instead rather but not while whereas has have had does do shows show shown appears "
    "appear seems reference original prediction predicted rendered generated attempt image picture second first read "
    "reads says which where one".split()
)
_SAME = {
    word: words.split()[0]
    for words in (
        "missing absent omitted lacking lacks gone lost removed dropped", "extra additional superfluous spurious added",
        "moved shifted displaced misplaced position positioned", "larger bigger large big enlarged",
        "smaller small little shrunk tiny", "colour color coloured colored", "grey gray", "title heading caption",
        "value number amount figure", "wrong incorrect mistaken", "rectangle rect square box", "circle disc round",
        "slice wedge", "swapped exchanged interchanged", "repeated duplicated duplicate twice", "center centre middle",
        "top upper", "bottom lower", "empty blank", "legend key", "grid gridlines", "axis axes", "label labelled",
        "thick thicker bold", "thin thinner", "faded transparent translucent opacity", "dashed dashes broken",
        "solid continuous", "minus negative", "header headers",
    )
    for word in words.split()
}  # fmt: skip
_PHRASES = (
    (re.compile(r"\bshould not( be there)?\b"), "extra"),
    (re.compile(r"\b(left out|there (is|are) no|not there|not shown|without)\b"), "missing"),
)
_YES, _PARTIAL = 0.5, 0.34
"""What two errors must be worth together to be the same, or the same in part; see the benchmark in the tests."""


def tokens(text: str) -> list[str]:
    """The words that say something, plural and spelling apart, and the numbers."""
    out = []
    text = text.lower()
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    for word in _TOKEN.findall(text):
        if word in _IDLE:
            continue
        stem = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        if word[0].isdigit() or word[0] in "+-":
            try:
                stem = f"{float(word.rstrip('%')):g}"
            except ValueError:
                stem = word
        out.append(_SAME.get(word, _SAME.get(stem, stem)))
    return out


def _weights(documents: Sequence[Sequence[str]]) -> dict[str, float]:
    """A word that stands in every entry tells none of them apart; a number or a letter tells much."""
    counts = Counter(word for document in documents for word in set(document))
    n = len(documents)
    return {
        word: math.log(1 + n / count) * (1.5 if word[0].isdigit() or len(word) == 1 else 1.0)
        for word, count in counts.items()
    }


def _alike(one: Sequence[str], two: Sequence[str], weights: dict[str, float]) -> float:
    """0 to 1: half the share of both that is common, half the share of the shorter."""

    def weigh(bag: Counter) -> float:
        return sum(weights[word] * count for word, count in bag.items())

    a, b = Counter(one), Counter(two)
    common, sizes = weigh(a & b), (weigh(a), weigh(b))
    if min(sizes) <= 0:
        return 0.0
    return common / sum(sizes) + common / min(sizes) / 2


class LocalJudge:
    """Category, location and description against category, location and description; no network, no model.

    Two errors are worth the likeness of their words (location included; words that tell the entries of this pair apart
    count more), less where categories differ; the assignment is the one worth most. A match of different
    categories, or between texts whose numbers have nothing in common, is partial at most.
    """

    name = "local"

    def match(self, predicted: Critique, annotated: Critique) -> list[Match]:
        """See `Judge`."""
        if not predicted.errors or not annotated.errors:
            return []
        mine, theirs = ([_words(error) for error in critique.errors] for critique in (predicted, annotated))
        weights = _weights([*mine, *theirs])
        worth = np.array([[_alike(one, two, weights) for two in theirs] for one in mine])
        same = np.array([[p.category == a.category for a in annotated.errors] for p in predicted.errors])
        worth = worth * np.where(same, 1.0, 0.75)
        rows, columns = linear_sum_assignment(np.where(worth >= _PARTIAL, worth, 0), maximize=True)
        found = []
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
            if worth[i, j] >= _PARTIAL:
                sure = worth[i, j] >= _YES and same[i, j] and not _numbers_differ(mine[i], theirs[j])
                found.append(Match(i, j, "yes" if sure else "partial"))
        return found


def _words(error: Discrepancy) -> list[str]:
    return tokens(f"{error.location or ''} {error.description}")


def _numbers_differ(one: Sequence[str], two: Sequence[str]) -> bool:
    a, b = ({word for word in words if word.lstrip("-")[:1].isdigit()} for words in (one, two))
    return bool(a and b and not a & b)


class ChatJudge:
    """A model behind an OpenAI-compatible address, as the benchmark was published.

    Args:
      chat: the address.
      tries: further questions where the answer cannot be read.
    """

    def __init__(self, chat: Chat, tries: int = 2):
        self.chat, self.tries = chat, tries
        self.name = chat.model
        self._template = Template((files("jaxerm.prompts") / "full" / "judge.txt").read_text(encoding="utf-8"))

    def match(self, predicted: Critique, annotated: Critique) -> list[Match]:
        """See `Judge`. Lists that hold nothing are not worth a question."""
        if not predicted.errors or not annotated.errors:
            return []
        text = self._template.substitute(predicted=_listed(predicted), annotated=_listed(annotated))
        for seed in range(self.tries + 1):
            reply = self.chat.ask([{"role": "user", "content": text}], temperature=0.0 if seed == 0 else 0.7, seed=seed)
            matches = read_matches(reply.text, len(predicted.errors), len(annotated.errors))
            if matches is not None:
                return matches
        raise ChatError(f"the judge {self.name} wrote no readable matches: {reply.text[:100]!r}")


def _listed(critique: Critique) -> str:
    lines = []
    for number, error in enumerate(critique.errors, start=1):
        entry = {"category": error.category, "severity": error.severity}
        entry |= {"location": error.location} if error.location else {}
        lines.append(f"{number}. {json.dumps({**entry, 'description': error.description}, ensure_ascii=False)}")
    return "\n".join(lines)


def read_matches(text: str, n_predicted: int, n_annotated: int) -> list[Match] | None:
    """What a judge wrote, kept one to one (`yes` before `partial`); None if there is no list of matches in it."""
    start, end = text.find("{"), text.rfind("}")
    try:
        entries = json.loads(text[start : end + 1])["matches"]
        read = [_read_match(entry) for entry in entries]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    kept: list[Match] = []
    for match in sorted(read, key=lambda match: match.verdict != "yes"):
        inside = 0 <= match.predicted < n_predicted and 0 <= match.annotated < n_annotated
        if inside and all(match.predicted != k.predicted and match.annotated != k.annotated for k in kept):
            kept.append(match)
    return kept


def _read_match(entry: Any) -> Match:
    verdict = str(entry["verdict"]).strip().lower()
    if verdict not in ("yes", "partial"):
        raise ValueError(verdict)
    return Match(int(entry["predicted"]) - 1, int(entry["annotated"]) - 1, verdict)
