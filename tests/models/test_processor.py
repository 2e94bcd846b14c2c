"""From messages to tokens and patches: as Hugging Face does it, and plain words for what cannot be done."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jaxerm.models.qwen3_vl.inputs import batch_inputs
from jaxerm.models.qwen3_vl.processor import open_image
from tests.models.harness import picture, question


def test_an_image_that_is_not_there_is_named(small, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*gone\.png"):
        small.processor.sample(question("?", tmp_path / "gone.png"))


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_a_broken_image_is_named(tmp_path, kept):
    path = tmp_path / "broken.png"
    picture(0).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"broken\.png is not a readable image") as caught:
        open_image(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (3, "not int"),
        (np.zeros((4, 4, 3)), r"not float64\[4, 4, 3\]"),
        (np.zeros((3, 8, 9), np.uint8), r"not uint8\[3, 8, 9\]"),
        (np.zeros((4, 4, 2), np.uint8), r"not uint8\[4, 4, 2\]"),
    ],
)
def test_what_is_no_image_at_all_is_named(what, message):
    with pytest.raises(ValueError, match=message):
        open_image(what)


def test_a_path_an_array_and_a_pil_image_are_the_same(small, tmp_path):
    image = picture(1, 64, 64)
    image.save(tmp_path / "a.png")
    first, *others = (
        small.processor.sample(question("?", each))
        for each in (image, np.asarray(image), tmp_path / "a.png", str(tmp_path / "a.png"))
    )
    for other in others:
        np.testing.assert_array_equal(other.patches, first.patches)
        np.testing.assert_array_equal(other.tokens, first.tokens)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode):
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 128))
    if mode == "P":
        image = Image.new("P", (4, 2), 0)
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.putpixel((0, 0), 1)
        image.info["transparency"] = 0
    else:
        image = image.convert(mode)
    pixels = np.asarray(open_image(image))
    assert pixels.shape == (2, 4, 3)
    np.testing.assert_array_equal(pixels[0, 0], 0)
    np.testing.assert_array_equal(pixels[1], 255)
    if mode != "P":
        np.testing.assert_allclose(pixels[0, 1], 127, atol=1)


def test_an_array_with_alpha_is_laid_on_white():
    np.testing.assert_array_equal(np.asarray(open_image(np.zeros((2, 2, 4), np.uint8))), 255)


def test_an_image_pad_in_the_text_of_a_prompt_is_refused(small):
    with pytest.raises(ValueError, match=r"hold 1 images and their text 2 times <\|image_pad\|>"):
        small.processor.sample(question("what is <|image_pad|>?", picture(0)))


def test_an_image_pad_spelled_out_in_an_answer_is_text(small):
    text = "a <|image_pad|> and an <|im_end|> <|vision_start|>"
    tokens = small.processor.completion(text)
    config = small.config
    special = {config.image_token_id, config.vision_start_token_id, config.eos_token_id, config.pad_token_id}
    assert not special & set(tokens[:-1].tolist())
    assert tokens[-1] == config.eos_token_id
    assert small.processor.decode(tokens) == text


def test_answers_leave_the_tokenizer_of_prompts_alone(small):
    small.processor.completion("<|image_pad|>")
    assert (small.processor.sample(question("?", picture(0))).tokens == small.config.image_token_id).sum() == 16


def test_image_tokens_are_as_many_as_merged_patches(small):
    sample = small.processor.sample(question("?", picture(0, 64, 64), picture(1, 200, 50)))
    pads = [h * w // 4 for _, h, w in sample.grids]
    assert sample.grids[0] == (1, 8, 8) and sample.grids[1][2] > sample.grids[1][1]
    is_image = sample.tokens == small.config.image_token_id
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, is_image, 0])))[::2]
    assert runs.tolist() == pads
    assert len(sample.patches) == 4 * sum(pads)


def test_samples_that_do_not_fit_say_what_would_help(small):
    sample = small.processor.sample(question("?", picture(0)))
    size = len(sample.tokens)
    batch_inputs([sample], small.config, length=size, patches=64)
    with pytest.raises(ValueError, match=f"a sample has {size} tokens and the batch has room for {size - 1}: raise"):
        batch_inputs([sample], small.config, length=size - 1, patches=64)
    with pytest.raises(ValueError, match="a sample has 64 patches and the batch has room for 60: raise"):
        batch_inputs([sample], small.config, length=size, patches=60)
    with pytest.raises(ValueError, match="1 images and the batch has room for no patch"):
        batch_inputs([sample], small.config, length=size, patches=0)
    cut = type(sample)(sample.tokens[:10], sample.patches, sample.grids)
    with pytest.raises(ValueError, match="image 1 needs 16 image tokens"):
        batch_inputs([cut], small.config, length=64, patches=64)
