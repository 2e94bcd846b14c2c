"""Known ways to get this network wrong each miss Hugging Face's logits by far: the parity tests would see them."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxerm.models.qwen3_vl import inputs as inputs_module
from jaxerm.models.qwen3_vl import model as model_module
from jaxerm.models.qwen3_vl import text
from jaxerm.models.qwen3_vl.layers import Rope
from jaxerm.models.qwen3_vl.positions import patch_coordinates
from tests.models import reference
from tests.models.harness import new_forward, run
from tests.models.make_golden import select

FAR = 0.05
"""500 times the tolerance of the parity tests."""


def misses(golden, logits) -> dict[str, float]:
    """Largest distance from the stored logits, by prompt."""
    return {
        name: float(np.abs(select(row) - golden[f"tied/{name}"]).max())
        for name, row in zip(reference.GRIDS, logits, strict=True)
    }


def assert_far(distances, *names):
    for name in names:
        assert distances[name] > FAR, f"{name} is only {distances[name]:.2g} away"
    for name in set(reference.GRIDS) - set(names):
        assert distances[name] < 1e-4, f"{name} should not have changed: {distances[name]:.2g}"


# Those of the host: the compiled network stays, its inputs are wrong.


def test_one_dimensional_positions(monkeypatch, golden, forward, reference_model):
    def plain(is_vision, grids, merge):
        return np.tile(np.arange(len(is_vision), dtype=np.int32), (3, 1))

    monkeypatch.setattr(inputs_module, "mrope_positions", plain)
    distances = misses(golden, run(forward, reference_model, reference.prompts()))
    assert_far(distances, "two_images", "wide", "one_image")


@pytest.mark.parametrize("axis", [1, 2], ids=["height", "width"])
def test_one_axis_of_the_positions_counts_as_another(monkeypatch, golden, forward, reference_model, axis):
    right = inputs_module.mrope_positions

    def wrong(is_vision, grids, merge):
        out = right(is_vision, grids, merge)
        out[axis] = out[0]
        return out

    monkeypatch.setattr(inputs_module, "mrope_positions", wrong)
    assert_far(misses(golden, run(forward, reference_model, reference.prompts())), "two_images", "wide", "one_image")


def test_the_time_of_the_positions_counts_as_the_height(monkeypatch, golden, forward, reference_model):
    right = inputs_module.mrope_positions

    def wrong(is_vision, grids, merge):
        out = right(is_vision, grids, merge)
        out[0] = out[1]
        return out

    monkeypatch.setattr(inputs_module, "mrope_positions", wrong)
    assert_far(misses(golden, run(forward, reference_model, reference.prompts())), "two_images", "wide", "one_image")


def test_text_behind_an_image_counts_on_from_its_tokens(monkeypatch, golden, forward, reference_model):
    right = inputs_module.mrope_positions

    def wrong(is_vision, grids, merge):
        out = right(is_vision, grids, merge)
        for _, h, w in grids[:1]:
            behind = np.flatnonzero(is_vision)[0] + h * w // merge**2
            out[:, behind:] += h * w // merge**2 - max(h, w) // merge
        return out

    monkeypatch.setattr(inputs_module, "mrope_positions", wrong)
    assert_far(misses(golden, run(forward, reference_model, reference.prompts())), "two_images", "wide", "one_image")


def test_swapped_images(golden, forward, reference_model):
    def swap(inputs):
        patches = np.array(inputs.vision.patches)
        patches[0, :80] = np.roll(patches[0, :80], 40, axis=0)
        return replace(inputs, vision=replace(inputs.vision, patches=patches))

    assert_far(misses(golden, run(forward, reference_model, reference.prompts(), change=swap)), "two_images")


def test_attention_across_images(golden, forward, reference_model):
    def join(inputs):
        segments = np.minimum(inputs.vision.segment_ids, 1)
        return replace(inputs, vision=replace(inputs.vision, segment_ids=segments))

    assert_far(misses(golden, run(forward, reference_model, reference.prompts(), change=join)), "two_images")


def test_learned_positions_not_interpolated(monkeypatch, golden, forward, reference_model):
    right = inputs_module.position_taps

    def nearest(grid, merge, side):
        index, weight = right(grid, merge, side)
        return index, np.eye(4, dtype=np.float32)[weight.argmax(axis=1)]

    monkeypatch.setattr(inputs_module, "position_taps", nearest)
    assert_far(misses(golden, run(forward, reference_model, reference.prompts())), "two_images", "wide", "one_image")


def test_learned_positions_in_raster_order(monkeypatch, golden, forward, reference_model):
    monkeypatch.setattr(inputs_module, "patch_coordinates", lambda grid, merge: patch_coordinates(grid, 1))
    assert_far(misses(golden, run(forward, reference_model, reference.prompts())), "two_images", "wide", "one_image")


# Those of the network: it is traced anew.


def test_deepstack_dropped(monkeypatch, golden, reference_model):
    right = text.Decoder.__call__

    def without(self, h, positions, attend, cache=None, *, add_tap=None, taps=None, remat="none"):
        return right(self, h, positions, attend, cache, add_tap=lambda h, tap: h, taps=taps, remat=remat)

    monkeypatch.setattr(text.Decoder, "__call__", without)
    distances = misses(golden, run(new_forward(), reference_model, reference.prompts()))
    assert_far(distances, "two_images", "wide", "one_image")


def test_rotary_sections_in_chunks(monkeypatch, golden, reference_model):
    def chunked(positions, config):
        frequency = config.rope_theta ** -(jnp.arange(0, config.head_dim, 2) / config.head_dim)
        axis = np.repeat(np.arange(3), config.mrope_section)
        angle = (positions[:, axis] * frequency[None, :, None]).transpose(0, 2, 1)[:, :, None]
        return Rope(jnp.cos(angle), jnp.sin(angle))

    monkeypatch.setattr(text, "mrope", chunked)
    distances = misses(golden, run(new_forward(), reference_model, reference.prompts()))
    assert_far(distances, "two_images", "wide", "one_image")


def test_tokens_that_see_what_comes_behind_them(monkeypatch, golden, reference_model):
    right = model_module.attention

    def wrong(*arrays, causal, kernel):
        del causal
        return right(*arrays, causal=False, kernel=kernel)

    monkeypatch.setattr(model_module, "attention", wrong)
    assert_far(misses(golden, run(new_forward(), reference_model, reference.prompts())), *reference.GRIDS)


@pytest.mark.parametrize("heads", [4, 2], ids=["q_norm", "k_norm"])
def test_query_or_key_norm_removed(monkeypatch, golden, reference_model, heads):
    right = text.RMSNorm.__call__

    def without(self, x):
        return x if x.shape[-2:] == (heads, 16) else right(self, x)

    monkeypatch.setattr(text.RMSNorm, "__call__", without)
    assert_far(misses(golden, run(new_forward(), reference_model, reference.prompts())), *reference.GRIDS)
