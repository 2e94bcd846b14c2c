"""The Grain pipeline: index -> example, rendered on the way -> tokens and patches -> packed rows -> batch."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grain
import numpy as np

from jaxerm.data.examples import Example
from jaxerm.data.features import TrainBatch, features, packed_batch
from jaxerm.data.packing import Made, PackedStream, Packing
from jaxerm.hosts import gathered
from jaxerm.models.qwen3_vl.processor import Processor


@dataclass(frozen=True)
class Component:
    """One part of a mixture.

    Attributes:
      make: index -> example; the same example for the same index, on every machine.
      size: indices there are.
      weight: share of the mixture.
    """

    make: Callable[[int], Example]
    size: int
    weight: float


class Batches(grain.DatasetIterator):
    """An endless iterator of `TrainBatch`: the rows that one of `count` hosts, or groups of hosts, gives to a batch.

    Which examples share which row of which batch depends on the seed and the packing alone: the batches of one host are
    those of several, laid behind each other. The state can go from any number of hosts to any other; see `whole_state`.
    """

    def __init__(self, streams: dict[int, PackedStream], packing: Packing, processor: Processor):
        super().__init__()
        self._streams, self._packing, self._processor = streams, packing, processor

    def __next__(self) -> TrainBatch:
        each = range(self._packing.rows // self._packing.streams)
        rows = [next(stream) for stream in self._streams.values() for _ in each]
        return packed_batch(rows, self._packing, self._processor)

    @property
    def skipped(self) -> dict[str, int]:
        """Examples passed over since the run began, by reason: ``broken``, or ``too_long`` for a row."""
        return dict(sum((stream.skipped for stream in self._streams.values()), Counter()))

    @property
    def last_skipped(self) -> list[str]:
        """What was said of the last few."""
        return [text for stream in self._streams.values() for text in stream.last_skipped]

    def close(self) -> None:
        """Ends the threads that make examples ahead."""
        super().close()
        for stream in self._streams.values():
            stream.close()

    def get_state(self) -> dict[str, Any]:
        """JSON values: where each stream of this host stands."""
        return {str(number): stream.get_state() for number, stream in self._streams.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state; it may hold the streams of other hosts as well.

        Raises:
          ValueError: a stream of this host is not in it, or its examples are not what they were.
        """
        if missing := [number for number in self._streams if str(number) not in state]:
            raise ValueError(
                f"the checkpoint holds {len(state)} streams of data and not stream {missing[0]} of "
                f"{self._packing.streams}: batch_size and data.streams must stay what they were"
            )
        for number, stream in self._streams.items():
            stream.set_state(state[str(number)])


def whole_state(state: dict[str, Any]) -> dict[str, Any]:
    """The state of all hosts, on each of them: what a checkpoint should hold. Every process must call it."""
    return {number: stream for part in gathered(state) for number, stream in part.items()}


def _made(component: Component, index: int, processor: Processor, packing: Packing) -> Made:
    """One bad file must not end a long run, and cutting a sample would part image tokens from their image."""
    try:
        made = features(component.make(index), processor)
    except (ValueError, OSError) as error:
        return Made(None, "broken", str(error))
    tokens, patches = len(made["tokens"]), len(made["patches"])
    if tokens > packing.length or patches > packing.patches:
        text = f"example {index} has {tokens} tokens and {patches} patches; a row holds {packing.length} and "
        return Made(None, "too_long", f"{text}{packing.patches}: raise max_length or max_patches")
    return Made(made)


def batches(
    components: Sequence[Component],
    processor: Processor,
    packing: Packing,
    *,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    threads: int = 4,
    prefetch: int = 64,
) -> Batches:
    """The batches of a mixture, shuffled, without end.

    Args:
      components: the mixture.
      processor: of the model.
      packing: the shape of a whole batch.
      seed: of the order in which each component is drawn.
      shard: (number of this host, hosts); hosts that need the same rows have the same number.
      threads: examples made at once; each waits for a renderer most of its time.
      prefetch: examples made ahead.

    Raises:
      ValueError: hosts that cannot share the streams.
    """
    number, count = shard
    if not 0 <= number < count or packing.streams % count:
        raise ValueError(
            f"{packing.rows} rows are drawn in {packing.streams} streams, which {count} hosts cannot share: "
            f"set data.streams to a multiple of {count} that divides batch_size"
        )
    each = packing.streams // count

    def part(component: Component, place: int) -> grain.MapDataset:
        indices = grain.MapDataset.range(component.size).seed(seed + place).shuffle().repeat()
        return indices.map(lambda index: (place, int(index)))

    parts = [part(component, place) for place, component in enumerate(components)]
    mixed = grain.MapDataset.mix(parts, [component.weight for component in components])

    def stream(own: int) -> PackedStream:
        def make(place: int) -> Made:
            # Round after round each stream gets one example, by lot: in turns, a mixture of two parts drawn in two
            # streams would give each stream one part.
            lot = np.random.Generator(np.random.Philox(key=[seed % 2**64, place])).permutation(packing.streams)[own]
            which, index = mixed[place * packing.streams + int(lot)]
            return _made(components[which], index, processor, packing)

        def read(start: int) -> Iterator[Made]:
            places = grain.MapDataset.range(start, sys.maxsize // packing.streams).map(lambda place: make(int(place)))
            options = grain.ReadOptions(num_threads=-(-threads // each), prefetch_buffer_size=-(-prefetch // each))
            return iter(places.to_iter_dataset(options))

        return PackedStream(make, read, packing)

    return Batches({own: stream(own) for own in range(number * each, (number + 1) * each)}, packing, processor)
