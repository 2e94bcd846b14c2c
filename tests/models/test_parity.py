"""The same weights give the same logits as Hugging Face's implementation, in float32."""

from __future__ import annotations

import numpy as np
import pytest

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.positions import mrope_positions
from jaxerm.models.qwen3_vl.weights import load_weights
from tests.models import reference
from tests.models.harness import run
from tests.models.make_golden import select

TOLERANCE = 1e-4


@pytest.fixture(scope="session")
def either_model(either_directory):
    kind, directory = either_directory
    return kind, directory, load_weights(directory, Qwen3VLConfig.load(directory))


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)


def test_the_stored_result_belongs_to_these_weights(golden):
    for kind, settings in reference.KINDS.items():
        assert golden[f"{kind}/weights"] == reference.checksum(reference.tensors(reference.hf_config(**settings)))


@pytest.mark.parametrize("pad_left", [False, True], ids=["padded_right", "padded_left"])
def test_logits_equal_the_stored_ones(either_model, golden, forward, pad_left):
    kind, _, model = either_model
    ours = run(forward, model, reference.prompts(), pad_left=pad_left)
    for name, logits in zip(reference.GRIDS, ours, strict=True):
        close(select(logits), golden[f"{kind}/{name}"])


def test_a_batch_without_any_image_equals_the_stored_text(reference_model, golden, forward):
    ours = run(forward, reference_model, [reference.prompt("text")], length=32, patches=0)
    close(select(ours[0]), golden["tied/text"])


def test_the_frames_of_a_video_equal_the_stored_ones(either_model, golden, forward):
    kind, _, model = either_model
    # Among the others, in the shape that is compiled already.
    ours = run(forward, model, [*reference.prompts()[:3], reference.prompt("video")])
    close(select(ours[3]), golden[f"{kind}/video"])


@pytest.mark.parametrize("name", [*reference.GRIDS, "video"])
def test_positions_equal_the_stored_ones(golden, name):
    sample = reference.prompt(name)
    ours = mrope_positions(np.isin(sample.tokens, (reference.IMAGE, reference.VIDEO)), sample.grids, 2)
    np.testing.assert_array_equal(ours, golden[f"positions/{name}"])


def test_logits_equal_hugging_face_live(either_model, forward):
    pytest.importorskip("torch")
    from tests.models import huggingface

    _, directory, model = either_model
    theirs_model = huggingface.open_model(directory)
    samples = reference.prompts()
    for pad_left in (False, True):
        ours = run(forward, model, samples, pad_left=pad_left)
        together = huggingface.logits(theirs_model, samples, pad_left=pad_left)
        for sample, mine, theirs in zip(samples, ours, together, strict=True):
            close(mine, theirs)
            close(mine, huggingface.logits(theirs_model, [sample])[0])


def test_positions_equal_hugging_face_live(reference_directory):
    pytest.importorskip("torch")
    from tests.models import huggingface

    theirs_model = huggingface.open_model(reference_directory)
    for name in (*reference.GRIDS, "video"):
        sample = reference.prompt(name)
        ours = mrope_positions(np.isin(sample.tokens, (reference.IMAGE, reference.VIDEO)), sample.grids, 2)
        np.testing.assert_array_equal(ours, huggingface.positions(theirs_model, sample))
