"""A video is read as Hugging Face reads it: the same sizes, time stamps, patches and tokens."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.qwen3_vl.processor import VIDEO_PAD
from jaxerm.models.qwen3_vl.video import time_stamps, video_size
from tests.models.harness import picture


def question(frames, **how):
    return [{"role": "user", "content": [{"type": "video", "video": frames, **how}, {"type": "text", "text": "?"}]}]


def frames(count, width=48, height=32):
    return [picture(seed, width, height) for seed in range(count)]


def test_frames_stand_in_pairs_each_behind_its_time(small):
    sample = small.processor.sample(question(frames(3), fps=1.0))
    config, tokenizer = small.config, small.processor.tokenizer
    assert sample.grids == ((1, 4, 6), (1, 4, 6)) or len(sample.grids) == 2
    pads = sample.grids[0][1] * sample.grids[0][2] // 4
    text = tokenizer.decode(sample.tokens)
    frame = "<|vision_start|>" + "<|video_pad|>" * pads + "<|vision_end|>"
    assert f"<|vision_start|><0.5 seconds>{frame}<2.0 seconds>{frame}<|vision_end|>?" in text
    assert (sample.tokens == config.video_token_id).sum() == 2 * pads
    inputs = batch_inputs([sample], config, length=256, patches=512)
    assert set(inputs.vision.segment_ids[0].tolist()) == {0, 1, 2}


def test_a_video_of_one_picture_is_that_image(small):
    image = picture(0, 64, 64)
    as_image = small.processor.sample([{"role": "user", "content": [{"type": "image", "image": image}]}])
    as_video = small.processor.sample(question([image, image]))
    np.testing.assert_array_equal(as_video.patches[: len(as_image.patches)], as_image.patches)


def test_an_image_and_a_video_keep_their_order(small):
    image = picture(9, 64, 64)
    parts = [{"type": "video", "video": frames(2, 64, 64)}, {"type": "image", "image": image}]
    sample = small.processor.sample([{"role": "user", "content": parts}])
    alone = small.processor.sample([{"role": "user", "content": parts[1:]}])
    np.testing.assert_array_equal(sample.patches[-len(alone.patches) :], alone.patches)
    kinds = [
        token for token in sample.tokens.tolist() if token in (small.config.image_token_id, small.config.video_token_id)
    ]
    assert kinds[0] == small.config.video_token_id and kinds[-1] == small.config.image_token_id


def test_frames_of_different_sizes_are_refused(small):
    with pytest.raises(ValueError, match="a video is frames of one size"):
        small.processor.sample(question([picture(0, 64, 64), picture(1, 32, 64)]))
    with pytest.raises(ValueError, match="hold 0 frames and their text 1 times"):
        small.processor.sample([{"role": "user", "content": "what is <|video_pad|>?"}])


@pytest.mark.parametrize("count", [2, 4, 5])
def test_sizes_and_patches_equal_hugging_face(small, count):
    torch = pytest.importorskip("torch")
    # Its package refuses it without torchvision, of which neither function needs anything.
    theirs = import_module("transformers.models.qwen3_vl.video_processing_qwen3_vl")

    for height, width in ((240, 320), (1080, 1920), (20, 900), (32, 64), (3, 90)):
        for low, high in ((4096, 25_165_824), (128 * 32 * 32, 32 * 32 * 768), (1, 40_000)):
            assert video_size(
                count, height, width, factor=32, temporal=2, min_pixels=low, max_pixels=high
            ) == theirs.smart_resize(count, height, width, 2, 32, low, high)

    pictures = frames(count, 64, 32)
    processor = small.processor
    processor._video_settings = {"size": {"shortest_edge": 16, "longest_edge": 10**6}}
    try:
        ours = processor.sample(question(pictures))
    finally:
        processor._video_settings = None
    pixels = np.stack([np.asarray(image, np.float32) for image in pictures]).transpose(0, 3, 1, 2) / 255
    pixels = torch.tensor((pixels - 0.5) / 0.5)[None]
    patches, *grid = theirs.Qwen3VLVideoProcessor.patchify(None, pixels, 8, 2, 2)
    assert [len(ours.grids), *ours.grids[0][1:]] == grid
    np.testing.assert_allclose(ours.patches, patches[0].numpy(), atol=1e-6)


@pytest.mark.parametrize(("count", "fps"), [(2, 2.0), (5, 2.0), (8, 24.0)])
def test_time_stamps_equal_hugging_face(count, fps):
    pytest.importorskip("torch")
    from transformers import Qwen3VLProcessor

    assert time_stamps(count, fps, 2) == pytest.approx(
        Qwen3VLProcessor._calculate_timestamps(None, list(range(count)), fps, 2)
    )


def test_the_text_around_frames_equals_hugging_face(small):
    pytest.importorskip("torch")
    from transformers import Qwen3VLProcessor

    # Its processor of videos needs torchvision; what it hands to the text is grids and the times of the frames.
    tokenizer = small.processor.tokenizer
    merging = SimpleNamespace(merge_size=2, temporal_patch_size=2)
    theirs = object.__new__(Qwen3VLProcessor)
    names = {"video_token": VIDEO_PAD, "vision_start_token": "<|vision_start|>", "vision_end_token": "<|vision_end|>"}
    vars(theirs).update(names, video_processor=merging, all_special_multimodal_tokens=[VIDEO_PAD])
    messages = question(frames(3), fps=1.0)
    sample = small.processor.sample(messages)
    metadata = SimpleNamespace(fps=1.0, frames_indices=[0, 1, 2])
    grid = np.array([[len(sample.grids), *sample.grids[0][1:]]])
    put = theirs.replace_video_token({"video_grid_thw": grid, "video_metadata": [metadata]}, 0)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    (text,), _ = theirs.get_text_with_replacements([text], videos_replacements=[put])
    assert sample.tokens.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
