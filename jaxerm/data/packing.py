"""Packing: examples of many lengths share rows of one length, and where that stands is a few numbers."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_LOG = logging.getLogger(__name__)
_OPEN_ROWS = 16
"""Rows that wait for a fitting example, over all streams; more than these gain little."""
_HOPELESS = 200
"""Skipped examples in a row after which there is no point in going on."""


@dataclass(frozen=True)
class Packing:
    """The static shape of a batch, over all hosts.

    Attributes:
      rows, length, patches: rows, tokens a row, patches a row.
      streams: independent parts in which the data is drawn, each for its own rows. Any number of hosts that divides it
        can share a run, and sees the same batches. None: 8, or what of it divides the rows.

    Raises:
      ValueError: rows that the streams cannot share.
    """

    rows: int
    length: int
    patches: int
    streams: int | None = None

    def __post_init__(self) -> None:
        if self.streams is None:
            object.__setattr__(self, "streams", math.gcd(self.rows, 8))
        if self.rows % self.streams:
            raise ValueError(f"{self.rows} rows cannot be shared by {self.streams} streams: take a divisor of the rows")

    @property
    def open_rows(self) -> int:
        """Rows of one stream that are filled at a time."""
        return max(4, _OPEN_ROWS // self.streams)


@dataclass(frozen=True)
class Made:
    """What became of an example: its features, or the reason why there are none."""

    features: dict[str, Any] | None
    reason: str = ""
    text: str = ""


@dataclass
class _Row:
    """Examples that share a row, and where in the stream they come from."""

    places: list[int]
    examples: list[dict[str, Any]]
    tokens: int = 0
    patches: int = 0

    def add(self, place: int, example: dict[str, Any]) -> None:
        self.places.append(place)
        self.examples.append(example)
        self.tokens += len(example["tokens"])
        self.patches += len(example["patches"])


class PackedStream:
    """Rows of one stream, without end.

    An example goes to the open row that it leaves fullest; where it fits into none, the fullest one leaves. The state
    names the examples of the open rows by their places, and they are made again when it is restored: it stays small
    however large the pictures are, and does not grow.

    Args:
      make: place -> example, the same one every time.
      read: place -> iterator of the examples from there on, made ahead.
      packing: the shape of a row.

    Attributes:
      skipped: reason -> examples that were passed over, since the run began.
      last_skipped: what was said of the last few.
    """

    def __init__(self, make: Callable[[int], Made], read: Callable[[int], Iterator[Made]], packing: Packing):
        self._make, self._read, self._packing = make, read, packing
        self._next, self._open, self._ahead = 0, [], None
        self.skipped: Counter[str] = Counter()
        self.last_skipped: deque[str] = deque(maxlen=20)

    def _fullness(self, row: _Row) -> float:
        return max(row.tokens / self._packing.length, row.patches / self._packing.patches)

    def __next__(self) -> list[dict[str, Any]]:
        """The examples of the next row.

        Raises:
          ValueError: 200 examples in succession had to be skipped.
        """
        packing, in_succession = self._packing, 0
        if self._ahead is None:
            self._ahead = self._read(self._next)
        while True:
            made, place = next(self._ahead), self._next
            self._next += 1
            if made.features is None:
                in_succession += 1
                self._skip(made, in_succession)
                continue
            in_succession = 0
            tokens, patches = len(made.features["tokens"]), len(made.features["patches"])
            fitting = [
                row
                for row in self._open
                if row.tokens + tokens <= packing.length and row.patches + patches <= packing.patches
            ]
            if fitting:
                max(fitting, key=self._fullness).add(place, made.features)
                continue
            row = _Row([], [])
            row.add(place, made.features)
            self._open.append(row)
            if len(self._open) > packing.open_rows:
                fullest = max(self._open, key=self._fullness)
                self._open.remove(fullest)
                return fullest.examples

    def _skip(self, made: Made, in_succession: int) -> None:
        self.skipped[made.reason] += 1
        self.last_skipped.append(made.text)
        _LOG.warning("skipped: %s", made.text)
        if in_succession == _HOPELESS:
            raise ValueError(f"{_HOPELESS} examples in succession had to be skipped; the last: {made.text}")

    def close(self) -> None:
        """Makes no more examples ahead."""
        if hasattr(self._ahead, "close"):
            self._ahead.close()
        self._ahead = None

    def get_state(self) -> dict[str, Any]:
        """JSON values, from which `set_state` goes on with the very next row."""
        return {"next": self._next, "open": [row.places for row in self._open], "skipped": dict(self.skipped)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to where another stream with the same examples was.

        Raises:
          ValueError: an example of that stream can no longer be made.
        """
        self.close()
        self._next, self._open = int(state["next"]), []
        self.skipped = Counter(state["skipped"])
        for places in state["open"]:
            row = _Row([], [])
            for place in map(int, places):
                made = self._make(place)
                if made.features is None:
                    raise ValueError(f"the data is not what it was at the checkpoint: {made.text}")
                row.add(place, made.features)
            self._open.append(row)
