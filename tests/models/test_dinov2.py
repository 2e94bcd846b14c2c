"""DINOv2 gives what Hugging Face's implementation gives, also where positions are interpolated.

``python -m tests.models.test_dinov2`` stores what it gives, for machines without PyTorch.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxerm.models.dinov2 import Dinov2Config, cubic_resampling, load_dinov2, normalised

GOLDEN = Path(__file__).parent / "golden" / "dinov2.npz"
SIZE, HEADS, LAYERS, PATCH, SIDE = 24, 2, 2, 14, 4
SHAPES = {"trained": (SIDE * PATCH, SIDE * PATCH), "interpolated": (3 * PATCH, 6 * PATCH)}
KINDS = ("mlp", "swiglu")


def write_directory(directory: Path, kind: str) -> Path:
    """A random model in Hugging Face layout."""
    config = {
        "model_type": "dinov2", "hidden_size": SIZE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "mlp_ratio": 4, "image_size": SIDE * PATCH, "patch_size": PATCH, "use_swiglu_ffn": kind == "swiglu",
    }  # fmt: skip
    inner = Dinov2Config(hidden_size=SIZE, use_swiglu_ffn=kind == "swiglu").mlp_size
    block = {f"norm{n}.{what}": (SIZE,) for n in (1, 2) for what in ("weight", "bias")}
    for name in ("attention.attention.query", "attention.attention.key", "attention.attention.value",
                 "attention.output.dense"):  # fmt: skip
        block |= {f"{name}.weight": (SIZE, SIZE), f"{name}.bias": (SIZE,)}
    block |= {"layer_scale1.lambda1": (SIZE,), "layer_scale2.lambda1": (SIZE,)}
    first, last, width = ("weights_in", "weights_out", 2 * inner) if kind == "swiglu" else ("fc1", "fc2", inner)
    block |= {f"mlp.{first}.weight": (width, SIZE), f"mlp.{first}.bias": (width,)}
    block |= {f"mlp.{last}.weight": (SIZE, inner), f"mlp.{last}.bias": (SIZE,)}
    shapes = {
        "embeddings.cls_token": (1, 1, SIZE), "embeddings.mask_token": (1, SIZE),
        "embeddings.position_embeddings": (1, 1 + SIDE**2, SIZE),
        "embeddings.patch_embeddings.projection.weight": (SIZE, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (SIZE,), "layernorm.weight": (SIZE,), "layernorm.bias": (SIZE,),
    } | {f"encoder.layer.{n}.{name}": shape for n in range(LAYERS) for name, shape in block.items()}  # fmt: skip
    rng = np.random.default_rng(7)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def pictures(name: str) -> np.ndarray:
    """float32[2, H, W, 3]."""
    images = np.random.default_rng(3).integers(0, 256, (2, *SHAPES[name], 3), dtype=np.uint8)
    return normalised(images)


def theirs(directory: Path, name: str) -> np.ndarray:
    """What transformers gives on PyTorch, float32[2, 1 + patches, SIZE]."""
    torch = pytest.importorskip("torch")
    from transformers import Dinov2Model

    model, info = Dinov2Model.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    with torch.no_grad():
        pixels = torch.tensor(pictures(name)).permute(0, 3, 1, 2)
        return model.eval()(pixels).last_hidden_state.numpy()


@pytest.fixture(scope="module", params=KINDS)
def opened(request, tmp_path_factory):
    directory = write_directory(tmp_path_factory.mktemp("dinov2") / request.param, request.param)
    return request.param, directory, load_dinov2(directory)


@pytest.mark.parametrize("name", SHAPES)
def test_features_equal_the_stored_ones(opened, name):
    kind, _, model = opened
    got = np.asarray(model(pictures(name)))
    assert got.shape == (2, 1 + SHAPES[name][0] * SHAPES[name][1] // PATCH**2, SIZE)
    np.testing.assert_allclose(got[:, ::5], np.load(GOLDEN)[f"{kind}/{name}"], atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_features_equal_hugging_faces(opened, name):
    _, directory, model = opened
    np.testing.assert_allclose(np.asarray(model(pictures(name))), theirs(directory, name), atol=1e-5)


def test_resampling_keeps_what_is_constant_and_what_is_already_right():
    np.testing.assert_allclose(cubic_resampling(37, 32).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(cubic_resampling(5, 5), np.eye(5), atol=1e-6)
    # Halfway between two samples the weights of a = -3/4 are -3/32, 19/32, 19/32, -3/32.
    np.testing.assert_allclose(cubic_resampling(4, 2)[0], [19 / 32 - 3 / 32, 19 / 32, -3 / 32, 0], atol=1e-6)


def test_pixels_are_normalised_as_imagenets():
    got = normalised(np.array([[[[0, 128, 255]]]], np.uint8))[0, 0, 0]
    np.testing.assert_allclose(got, [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5)


def test_a_picture_that_does_not_divide_is_refused(opened):
    with pytest.raises(ValueError, match="50 x 56 pixels does not divide into patches of 14"):
        opened[2](np.zeros((1, 50, 56, 3), np.float32))


def test_files_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config.json"):
        load_dinov2(tmp_path)
    directory = write_directory(tmp_path / "a", "mlp")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    with pytest.raises(ValueError, match="model_type 'vit'"):
        load_dinov2(directory)
    (directory / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    with pytest.raises(ValueError, match=r"has the shape .*; config.json makes it"):
        load_dinov2(directory)
    (directory / "config.json").write_text(json.dumps(config))
    tensors = load_file(directory / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "layernorm.bias"}, directory / "model.safetensors")
    with pytest.raises(ValueError, match="lacks the tensor layernorm.bias"):
        load_dinov2(directory)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = {
            f"{kind}/{name}": theirs(write_directory(Path(folder) / kind, kind), name)[:, ::5]
            for kind in KINDS
            for name in SHAPES
        }
    np.savez_compressed(GOLDEN, **made)
