"""Figures of a step: FLOPs of the samples alone, a share of a known peak, memory where the backend tells."""

import types

import numpy as np
import pytest

import jaxerm.train.gauges as gauges
from jaxerm.models.chips import CHIPS, peak_flops
from jaxerm.models.qwen3_vl.flops import forward_flops, samples_flops, segment_sizes, text_flops, vision_flops
from jaxerm.models.qwen3_vl.inputs import Inputs, Sample, VisionInputs
from jaxerm.models.sharding import make_mesh
from jaxerm.recipe import load_recipe
from jaxerm.train.gauges import Gauges, Work, host_bytes
from jaxerm.train.rollouts import Rollouts


def packed(segments, images):
    """Inputs of which only the segments are looked at."""
    tokens, vision = np.array(segments), np.array(images)
    return Inputs(tokens, tokens, tokens, tokens, tokens, VisionInputs(vision, vision, vision, vision, vision))


BATCH = packed([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 0, 0]], [[64, 64, 64, 64, 65, 65], [64, 64, 0, 0, 0, 0]])


WEIGHTS = np.array([[0, 0, 1, 0, 1, 0], [0, 0, 1, 1, 0, 0]], np.float32)


def passes_of(micro):
    return samples_flops(micro.config, segment_sizes(BATCH.segment_ids), 4, segment_sizes(BATCH.vision.segment_ids))


def test_samples_count_by_themselves_and_padding_not_at_all(micro):
    text, vision = passes_of(micro)
    assert text == sum(text_flops(micro.config, *sizes) for sizes in ((3, 1), (2, 1), (4, 2)))
    assert vision == sum(vision_flops(micro.config, patches) for patches in (4, 2, 2))
    # Two short samples attend to less than one of their length.
    assert text_flops(micro.config, 3) + text_flops(micro.config, 2) < text_flops(micro.config, 5)
    assert text_flops(micro.config, 5) + vision_flops(micro.config, 4) == forward_flops(micro.config, 1, 5, 4)


@pytest.fixture
def gauge(micro, micro_directory):
    def make(*overrides):
        recipe = load_recipe("tiny_svg_sft", [f"model={micro_directory}", *overrides])
        return Gauges(recipe, micro.config, make_mesh({"fsdp": 2}))

    return make


@pytest.mark.parametrize(
    ("overrides", "text_passes", "vision_passes"),
    [
        ((), 3, 3),
        (("freeze=[vision, merger]",), 3, 1),
        (("freeze=[vision]",), 3, 3),
        (("freeze=[text]",), 2, 3),
        (("lora={rank: 2}",), 2, 1),
        (("lora={rank: 2, vision: true}",), 2, 2),
    ],
)
def test_what_is_frozen_needs_fewer_passes(gauge, micro, overrides, text_passes, vision_passes):
    text, vision = passes_of(micro)
    made = gauge(*overrides)
    work = made.batch_work(BATCH, WEIGHTS, rows=2)
    assert work == Work(text_passes * text + vision_passes * vision, 9)
    # Half the rows are another host's.
    assert made.batch_work(BATCH, WEIGHTS, rows=4) == Work(2 * work.flops, 18)


def test_the_update_of_a_policy_counts_prompts_answers_and_further_passes(gauge, micro):
    prompt = Sample(np.zeros(5, np.int32), np.zeros((4, 1)), ((1, 2, 2),))
    generated = types.SimpleNamespace(lengths=np.array([1, 3]))
    work = gauge().rollouts_work(Rollouts([prompt], generated, ["a", "b"], 2), passes=1)
    text = text_flops(micro.config, 6, 1) + text_flops(micro.config, 8, 3)
    assert work == Work(4 * (text + 2 * vision_flops(micro.config, 4)), 14)


def test_mfu_is_a_share_of_the_peak_of_all_devices_and_missing_where_none_is_known(gauge, monkeypatch):
    assert "mfu" not in gauge().speed(Work(1e12, 100), 2.0)
    monkeypatch.setattr(gauges, "peak_flops", lambda kind: 1e12)
    assert gauge().speed(Work(1e12, 100), 2.0) == {"tokens_per_s": 50.0, "model_tflops": 1.0, "mfu": 0.25}
    assert gauge().speed(Work(1e12, 100), 4.0, busy_seconds=1.0)["mfu"] == 0.5


def test_chips_are_known_by_what_jax_calls_them():
    assert peak_flops("TPU v5 lite") == CHIPS["v5e"].flops and peak_flops("TPU v5") == CHIPS["v5p"].flops
    assert peak_flops("NVIDIA H100 80GB HBM3") > peak_flops("NVIDIA H100 PCIe") > peak_flops("NVIDIA A100-SXM4-80GB")
    assert peak_flops("cpu") is None and peak_flops("NVIDIA L400") is None


def test_memory_is_told_where_it_is_known(gauge, monkeypatch):
    one = gauge()

    class Device:
        def __init__(self, used):
            self.used = used

        def memory_stats(self):
            return self.used and {"bytes_in_use": self.used, "peak_bytes_in_use": 2 * self.used}

    one.devices = [Device(2**30), Device(3 * 2**30), Device(None)]
    found = one.memory()
    assert found["device_gib"] == 3.0 and found["device_peak_gib"] == 6.0
    one.devices = [Device(None)]
    assert one.memory().keys() == {"host_gib"}
    before, held = host_bytes(), np.ones(2**24)
    assert host_bytes() - before > 0.9 * held.nbytes
