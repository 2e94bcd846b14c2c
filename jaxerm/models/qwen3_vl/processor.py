"""From chat messages with images and videos to a `Sample`, by Hugging Face's tokenizer, template and processor."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.inputs import Sample
from jaxerm.models.qwen3_vl.positions import Grid
from jaxerm.models.qwen3_vl.video import time_stamps, video_patches

Messages = list[dict[str, Any]]
"""Chat messages: ``{"role": ..., "content": text | parts}``, a part being ``{"type": "text", "text": ...}``,
``{"type": "image", "image": PIL image | uint8 array | path}`` or
``{"type": "video", "video": [images], "fps": frames a second, 2 if not said}``."""

IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
_FRAME = f"<|vision_start|>{VIDEO_PAD}<|vision_end|>"


def open_image(image: Any) -> Image.Image:
    """A PIL RGB image from PIL, uint8[H, W, 3] or a path.

    Transparency is laid on white, as every renderer here does.

    Raises:
      FileNotFoundError, ValueError: nothing there, or not an image.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
            raise ValueError(
                f"an image array is uint8[H, W, 3], [H, W, 4] or [H, W], not {image.dtype}{list(image.shape)}"
            )
        image = Image.fromarray(image)
    elif isinstance(image, str | Path):
        path = image
        try:
            image = Image.open(path)
            image.load()
        except FileNotFoundError:
            raise FileNotFoundError(f"no image at {path}") from None
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} is not a readable image: {error}") from None
    if not isinstance(image, Image.Image):
        raise ValueError(f"an image is a PIL image, a uint8 array or a path, not {type(image).__name__}")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def _seen(messages: Messages) -> list[dict[str, Any]]:
    """The parts that are images or videos, in reading order."""
    return [
        part
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
        if part.get("type") in ("image", "video")
    ]


class Processor:
    """Tokenizer, chat template and image processor of one model directory.

    Args:
      directory: in Hugging Face layout.
      config: of the same directory.
    """

    def __init__(self, directory: str | Path, config: Qwen3VLConfig):
        # transformers takes seconds to import; whoever only renders or reads critiques does not pay for it.
        from transformers import AutoTokenizer
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        directory = Path(directory)
        self.config = config
        if not any((directory / name).exists() for name in ("tokenizer.json", "vocab.json")):
            # transformers would make up an empty tokenizer from config.json alone.
            raise FileNotFoundError(f"{directory} has no tokenizer: neither tokenizer.json nor vocab.json")
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.images = Qwen2VLImageProcessorPil(**_image_settings(directory, config))
        self.image_pad = config.image_token_id
        path = directory / "video_preprocessor_config.json"
        self._video_settings = json.loads(path.read_text()) if path.exists() else None
        # A tokenizer of its own for answers: the switch is its state, and pipelines call from many threads.
        self._plain = copy.deepcopy(self.tokenizer.backend_tokenizer)
        self._plain.encode_special_tokens = True

    def sample(self, messages: Messages, *, add_generation_prompt: bool = True) -> Sample:
        """Tokens and patches of a conversation, image pads repeated to one a merged patch.

        Raises:
          ValueError: text that contains an image token of its own.
        """
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        parts = _seen(messages)
        text = self._with_time_stamps(text, [part for part in parts if part["type"] == "video"])
        tokens = np.asarray(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int32)
        values = [self._patches(part) for part in parts]
        grids = tuple(grid for _, part_grids in values for grid in part_grids)
        for kind, name, pad, token in (
            ("image", "images", IMAGE_PAD, self.image_pad),
            ("video", "frames", VIDEO_PAD, self.config.video_token_id),
        ):
            wanted = sum(len(made[1]) for made, part in zip(values, parts, strict=True) if part["type"] == kind)
            if (found := int((tokens == token).sum())) != wanted:
                raise ValueError(f"the messages hold {wanted} {name} and their text {found} times {pad}")
        if not values:
            return Sample(tokens, np.zeros((0, self.config.vision.patch_dim), np.float32), ())
        repeats = np.ones(len(tokens), np.int64)
        repeats[np.isin(tokens, (self.image_pad, self.config.video_token_id))] = [
            t * h * w // self.config.vision.spatial_merge_size**2 for t, h, w in grids
        ]
        return Sample(np.repeat(tokens, repeats), np.concatenate([patches for patches, _ in values]), grids)

    def _patches(self, part: dict[str, Any]) -> tuple[np.ndarray, tuple[Grid, ...]]:
        """float32[P, patch_dim] of an image or of all frames of a video, and its grids."""
        if part["type"] == "image":
            values = self.images(images=[open_image(part["image"])], return_tensors="np")
            grids = tuple(tuple(int(n) for n in grid) for grid in values["image_grid_thw"])
            return np.asarray(values["pixel_values"], np.float32), grids
        frames = [open_image(frame) for frame in part["video"]]
        # Without bounds of its own, a video may hold in each frame what an image may.
        size = self._video_settings["size"] if self._video_settings else None
        edges = size or {key: getattr(self.images.size, key) * len(frames) for key in ("shortest_edge", "longest_edge")}
        return video_patches(frames, self.images, min_pixels=edges["shortest_edge"], max_pixels=edges["longest_edge"])

    def _with_time_stamps(self, text: str, videos: list[dict[str, Any]]) -> str:
        """Each video of the chat template becomes its frames, one behind the other, each behind its time in seconds.

        The marks the template sets around a video stay, as transformers 5 has it; transformers 4 took them away.
        """
        if not videos:
            return text
        pieces = text.split(VIDEO_PAD)
        if len(pieces) != len(videos) + 1:
            found = len(pieces) - 1
            raise ValueError(f"the messages hold {len(videos)} videos and their text {found} times {VIDEO_PAD}")
        out = pieces[0]
        for video, piece in zip(videos, pieces[1:], strict=True):
            stamps = time_stamps(len(video["video"]), video.get("fps", 2.0), self.config.vision.temporal_patch_size)
            out += "".join(f"<{seconds:.1f} seconds>{_FRAME}" for seconds in stamps) + piece
        return out

    def completion(self, text: str) -> np.ndarray:
        """Tokens of an answer, its end of turn included: int32[n].

        A special token spelled out in the text is text here: a model cannot smuggle an image pad in.
        """
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return np.asarray([*ids, self.config.eos_token_id], np.int32)

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """Text of an answer, without special tokens."""
        return self.tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=True)

    def save(self, directory: str | Path) -> None:
        """Writes tokenizer, chat template and preprocessor_config.json."""
        self.tokenizer.save_pretrained(directory)
        settings = {"image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"}
        keys = ("size", "patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std")
        settings |= {key: _json_value(getattr(self.images, key)) for key in keys}
        (Path(directory) / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        if self._video_settings:
            path = Path(directory) / "video_preprocessor_config.json"
            path.write_text(json.dumps(self._video_settings, indent=2) + "\n")


def _json_value(value: Any) -> Any:
    """transformers keeps `size` in a class of its own, with a slot for each way of giving a size."""
    if not hasattr(value, "keys") and not hasattr(value, "__dataclass_fields__"):
        return list(value) if isinstance(value, tuple) else value
    return {key: number for key, number in dict(value).items() if number is not None}


def _image_settings(directory: Path, config: Qwen3VLConfig) -> dict[str, Any]:
    path = directory / "preprocessor_config.json"
    if not path.exists():
        raise FileNotFoundError(f"{directory} has no preprocessor_config.json")
    try:
        settings = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    for key in ("image_processor_type", "processor_class", "feature_extractor_type"):
        settings.pop(key, None)
    vision = config.vision
    for key, expected in (
        ("patch_size", vision.patch_size),
        ("temporal_patch_size", vision.temporal_patch_size),
        ("merge_size", vision.spatial_merge_size),
    ):
        if settings.get(key, expected) != expected:
            raise ValueError(f"{path} says {key} {settings[key]}; config.json says {expected}")
        settings[key] = expected
    return settings
