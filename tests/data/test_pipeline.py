"""The pipeline: the same batches on any number of hosts and after any interruption; broken samples are counted."""

from __future__ import annotations

import json
from itertools import islice

import jax
import numpy as np
import pytest

from jaxerm.data.examples import Example
from jaxerm.data.features import fill
from jaxerm.data.packing import Made, PackedStream, Packing
from jaxerm.data.pairs import BrokenSample
from jaxerm.data.pipeline import Component, batches

PACKING = Packing(rows=4, length=96, patches=128)


def example(number: int) -> Example:
    """Some have a picture, some do not; all are of different lengths and say which they are."""
    content = [{"type": "text", "text": "judge " * (1 + number % 7)}]
    if number % 3:
        picture = np.full((16 + 16 * (number % 2), 32, 3), number, np.uint8)
        content.insert(0, {"type": "image", "image": picture})
    return Example([{"role": "user", "content": content}], f"number {number}")


def broken(number: int) -> Example:
    if number % 5 == 0:
        raise BrokenSample(f"file {number} is broken")
    return example(number)


def stream(micro, make=example, packing=PACKING, shard=(0, 1), weights=(1.0, 1.0)):
    parts = [Component(make, 40, weights[0]), Component(lambda n: make(n + 40), 40, weights[1])]
    return batches(parts, micro.processor, packing, seed=3, shard=shard, threads=2, prefetch=8)


def answers(micro, batch) -> list[list[str]]:
    """What is said in each row."""
    found = []
    for tokens, weights, segments in zip(batch.inputs.tokens, batch.weights, batch.inputs.segment_ids, strict=True):
        numbers = range(1, segments.max() + 1)
        found.append([micro.processor.decode(tokens[(segments == n) & (weights > 0)]) for n in numbers])
    return found


@pytest.mark.parametrize("hosts", [2, 4])
def test_several_hosts_give_the_rows_of_one(micro, hosts):
    one = stream(micro)
    several = [stream(micro, shard=(number, hosts)) for number in range(hosts)]
    for _ in range(3):
        whole, parts = answers(micro, next(one)), [answers(micro, next(part)) for part in several]
        assert len(whole) == 4 and [row for part in parts for row in part] == whole


def test_parts_of_a_mixture_come_by_their_weights(micro):
    data = stream(micro, weights=(3.0, 1.0))
    said = [text for batch in islice(data, 12) for row in answers(micro, batch) for text in row]
    first = sum(int(text.split()[1]) < 40 for text in said)
    assert first / len(said) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("hosts", [(1, 1), (1, 2), (2, 1), (4, 2)])
def test_killed_anywhere_it_goes_on_exactly_on_any_number_of_hosts(micro, at, hosts):
    """The state goes through JSON, as in a checkpoint."""
    before, after = hosts
    whole = [answers(micro, batch) for batch in islice(stream(micro, broken), at + 3)]
    runs = [stream(micro, broken, shard=(number, before)) for number in range(before)]
    seen = [[row for run in runs for row in answers(micro, next(run))] for _ in range(at)]
    state = json.loads(json.dumps({key: value for run in runs for key, value in run.get_state().items()}))
    resumed = [stream(micro, broken, shard=(number, after)) for number in range(after)]
    for run in resumed:
        run.set_state(state)
    seen += [[row for run in resumed for row in answers(micro, next(run))] for _ in range(3)]
    assert seen == whole


def test_a_restored_batch_is_the_same_in_every_array(micro):
    data = stream(micro)
    next(data)
    state, expected = data.get_state(), next(data)
    again = stream(micro)
    again.set_state(state)
    got = next(again)
    for ours, theirs in zip(*map(jax.tree.leaves, (got.inputs, expected.inputs)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(got.weights, expected.weights)


def test_broken_samples_are_skipped_counted_and_named(micro):
    data = stream(micro, broken)
    said = [text for batch in islice(data, 6) for row in answers(micro, batch) for text in row]
    assert said and all(int(text.split()[1]) % 5 for text in said)
    assert data.skipped["broken"] > 2 and "file " in data.last_skipped[-1]
    # The count survives a restart, and is the same however many hosts share it.
    again = stream(micro, broken)
    again.set_state(data.get_state())
    assert again.skipped == data.skipped


def test_samples_too_long_for_a_row_are_skipped_and_say_what_to_raise(micro):
    data = stream(micro, packing=Packing(rows=2, length=40, patches=128))
    said = [text for batch in islice(data, 3) for row in answers(micro, batch) for text in row]
    assert said and set(data.skipped) == {"too_long"}
    assert "a row holds 40 and 128: raise max_length" in data.last_skipped[0]


def test_where_all_is_broken_the_run_ends_and_says_so(micro):
    def never(number):
        raise BrokenSample(f"file {number} is gone")

    with pytest.raises(ValueError, match="200 examples in succession had to be skipped; the last: file .* is gone"):
        next(stream(micro, never))


def test_hosts_that_cannot_share_the_streams_are_told_so(micro):
    with pytest.raises(ValueError, match="4 streams, which 3 hosts cannot share: set data.streams"):
        stream(micro, shard=(0, 3))
    with pytest.raises(ValueError, match="6 rows cannot be shared by 4 streams"):
        Packing(6, 8, 8, streams=4)
    data = stream(micro)
    with pytest.raises(ValueError, match="holds 1 streams of data and not stream 1 of 4"):
        data.set_state({"0": data.get_state()["0"]})


def lengths(low: int, high: int):
    """Examples of which only the lengths matter."""

    def make(place: int) -> Made:
        rng = np.random.Generator(np.random.Philox(key=[7, place]))
        size = int(rng.integers(low, high))
        return Made({"tokens": np.full(size, place), "patches": np.zeros(size // 2)})

    def read(start: int):
        place = start
        while True:
            yield make(place)
            place += 1

    return make, read


def test_packed_rows_waste_little_and_lose_nothing():
    packing = Packing(rows=1, length=1000, patches=1000)
    data = PackedStream(*lengths(50, 400), packing)
    rows = [next(data) for _ in range(200)]
    used = [sum(len(example["tokens"]) for example in row) for row in rows]
    assert max(used) <= 1000 and sum(used) / 200_000 > 0.95
    state = data.get_state()
    out = [int(example["tokens"][0]) for row in rows for example in row]
    assert sorted(out + [place for row in state["open"] for place in row]) == list(range(state["next"]))
    assert len(json.dumps(state)) < 1000


def test_fill_is_the_share_of_slots_with_a_token(micro):
    batch = next(stream(micro))
    assert fill(batch) == (batch.inputs.segment_ids > 0).sum() / (4 * 96)
