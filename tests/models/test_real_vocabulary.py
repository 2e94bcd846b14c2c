"""With Qwen's own vocabulary, what the model is given equals what Hugging Face's processor makes."""

from __future__ import annotations

import numpy as np
import pytest

from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.qwen3_vl.positions import mrope_positions
from jaxerm.models.qwen3_vl.processor import Processor
from jaxerm.models.qwen3_vl.sizes import size_config
from jaxerm.models.tiny import CHAT_TEMPLATE
from tests.models.harness import picture, question
from tests.models.released import write_released


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    try:
        return write_released(tmp_path_factory.mktemp("qwen"))
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def ours(directory):
    return Processor(directory, size_config("2B"))


@pytest.fixture(scope="module")
def theirs(directory):
    """Hugging Face's own processor. Its video part needs torchvision; the images' does not."""
    from transformers import AutoTokenizer, ProcessorMixin, Qwen3VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProcessorMixin, "check_argument_for_proper_class", lambda *arguments: None)
        return Qwen3VLProcessor(
            image_processor=Qwen2VLImageProcessorPil.from_pretrained(directory),
            tokenizer=AutoTokenizer.from_pretrained(directory),
            video_processor=None,
            chat_template=CHAT_TEMPLATE,
        )


SIZES = [(640, 480), (64, 64), (1000, 37), (33, 1024), (500, 1200)]
"""Width and height: as it is, enlarged, and far from square."""


def test_special_tokens_have_their_published_ids(ours):
    config = ours.config
    for text, token in {
        "<|image_pad|>": config.image_token_id,
        "<|video_pad|>": config.video_token_id,
        "<|vision_start|>": config.vision_start_token_id,
        "<|vision_end|>": config.vision_end_token_id,
        "<|im_end|>": config.eos_token_id,
        "<|endoftext|>": config.pad_token_id,
    }.items():
        assert ours.tokenizer.convert_tokens_to_ids(text) == token, text
    assert config.text.vocab_size >= len(ours.tokenizer) == 151_669


def test_tokens_pixels_grids_and_positions_equal_hugging_face(ours, theirs):
    pictures = [picture(seed, *size) for seed, size in enumerate(SIZES)]
    for messages in (
        question("Was unterscheidet die Bilder? 図形の差 <svg/> ½", *pictures[:2]),
        question("Which?", *pictures[2:]),
        [{"role": "system", "content": "You compare pictures."}, *question("And now?", pictures[0])],
        question("no picture"),
    ):
        parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
        images = [part["image"] for part in parts if part["type"] == "image"]
        text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        wanted = theirs(text=[text], images=images or None, return_tensors="np")
        sample = ours.sample(messages)
        assert sample.tokens.tolist() == wanted["input_ids"][0].tolist()
        assert len(sample.grids) == len(images)
        types = np.asarray(wanted["mm_token_type_ids"][0])
        np.testing.assert_array_equal(types == 1, sample.tokens == ours.config.image_token_id)
        if images:
            assert [list(grid) for grid in sample.grids] == wanted["image_grid_thw"].tolist()
            np.testing.assert_array_equal(sample.patches, wanted["pixel_values"])
        assert_positions(ours, sample, wanted)


def assert_positions(ours, sample, wanted):
    """MRoPE positions as `get_rope_index` counts them, of the real sizes; no weights are needed for that."""
    try:
        import torch
        from transformers import AutoConfig, Qwen3VLModel
    except ImportError:
        return
    config = AutoConfig.for_model(**ours.config.to_hf())
    with torch.device("meta"):
        config.text_config.num_hidden_layers = config.vision_config.depth = 1
        config.vision_config.deepstack_visual_indexes = [0]
        model = Qwen3VLModel(config)
    grids = wanted.get("image_grid_thw")
    positions, _ = model.get_rope_index(
        torch.tensor(np.asarray(wanted["input_ids"])),
        torch.tensor(np.asarray(wanted["mm_token_type_ids"])),
        None if grids is None else torch.tensor(np.asarray(grids)),
    )
    mine = mrope_positions(sample.tokens == ours.config.image_token_id, sample.grids, 2)
    np.testing.assert_array_equal(mine, positions[:, 0].numpy())


def test_images_keep_their_aspect_and_a_batch_pads_them_apart(ours):
    samples = [ours.sample(question("?", picture(seed, *size))) for seed, size in enumerate(SIZES)]
    for (width, height), sample in zip(SIZES, samples, strict=True):
        _, rows, columns = sample.grids[0]
        assert abs(np.log((columns / rows) / (width / height))) < 0.35, (width, height, rows, columns)
    length, patches = (max(len(getattr(s, name)) for s in samples) for name in ("tokens", "patches"))
    inputs = batch_inputs(samples, ours.config, length=length, patches=patches)
    for row, sample in enumerate(samples):
        assert (inputs.segment_ids[row] > 0).sum() == len(sample.tokens)
        assert (inputs.vision.segment_ids[row] > 0).sum() == len(sample.patches)
        assert (inputs.token_index[row] >= 0).sum() == len(sample.patches) // 4


def test_an_answer_with_special_tokens_spelled_out_is_text(ours):
    tokens = ours.completion("a <|image_pad|> <|im_end|> <|endoftext|>")
    assert not set(tokens[:-1].tolist()) & {151_655, 151_645, 151_643} and tokens[-1] == 151_645
