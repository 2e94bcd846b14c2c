"""DINOv2: a vision transformer whose class token says what a picture looks like, from Hugging Face files."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.models.attention import attention
from jaxerm.models.hub import model_directory
from jaxerm.models.qwen3_vl.layers import Linear, scan_layers, stack_layers
from jaxerm.models.tensor_files import TensorFiles

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, red, green and blue: what DINOv2 was trained with."""


@dataclass(frozen=True)
class Dinov2Config:
    """Sizes, under the names of Hugging Face's config.json."""

    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    mlp_ratio: int = 4
    image_size: int = 518
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    use_swiglu_ffn: bool = False

    @property
    def positions_side(self) -> int:
        return self.image_size // self.patch_size

    @property
    def mlp_size(self) -> int:
        """Of SwiGLU two thirds, rounded up to a multiple of 8."""
        size = int(self.hidden_size * self.mlp_ratio)
        return (int(size * 2 / 3) + 7) // 8 * 8 if self.use_swiglu_ffn else size

    @classmethod
    def load(cls, directory: Path) -> Dinov2Config:
        """Reads config.json.

        Raises:
          FileNotFoundError: there is none.
          ValueError: it is another model's, or asks for what is not here.
        """
        path = directory / "config.json"
        if not path.is_file():
            raise FileNotFoundError(f"{directory} is no model directory: it has no config.json")
        try:
            values = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is no config: {error}") from None
        needed = {"model_type": "dinov2", "hidden_act": "gelu", "num_channels": 3, "qkv_bias": True}
        for key, value in needed.items():
            if (found := values.get(key, value)) != value:
                raise ValueError(f"{path} says {key} {found!r}; only {value!r} is known here")
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})


class Block(nnx.Module):
    """Pre-norm transformer block, each branch scaled channel by channel."""

    def __init__(self, config: Dinov2Config, dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        size = config.hidden_size
        self.heads, self.swiglu = config.num_attention_heads, config.use_swiglu_ffn
        self.norm1 = nnx.LayerNorm(size, epsilon=config.layer_norm_eps, **kinds)
        self.query, self.key, self.value, self.proj = (Linear(size, size, **kinds) for _ in range(4))
        self.scale1 = nnx.Param(jnp.ones(size, dtype))
        self.norm2 = nnx.LayerNorm(size, epsilon=config.layer_norm_eps, **kinds)
        self.fc1 = Linear(size, config.mlp_size * (2 if self.swiglu else 1), **kinds)
        self.fc2 = Linear(config.mlp_size, size, **kinds)
        self.scale2 = nnx.Param(jnp.ones(size, dtype))

    def __call__(self, h: jax.Array) -> jax.Array:
        """float[B, S, H] -> float[B, S, H]."""
        batch, length, size = h.shape
        x = self.norm1(h)
        q, k, v = (part(x).reshape(batch, length, self.heads, -1) for part in (self.query, self.key, self.value))
        segments = jnp.ones((batch, length), jnp.int32)
        mixed = attention(q, k, v, segments, segments, causal=False).reshape(batch, length, size)
        h = h + self.scale1[...] * self.proj(mixed)
        x = self.fc1(self.norm2(h))
        if self.swiglu:
            gate, up = jnp.split(x, 2, axis=-1)
            x = nnx.silu(gate) * up
        else:
            x = nnx.gelu(x, approximate=False)
        return h + self.scale2[...] * self.fc2(x)


class Dinov2(nnx.Module):
    """The network.

    Args:
      config: its sizes.
      dtype: of parameters and computation.
      rngs: of parameters that are not read from files.
    """

    def __init__(self, config: Dinov2Config, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        size, side = config.hidden_size, config.positions_side
        self.cls_token = nnx.Param(jnp.zeros(size, dtype))
        self.positions = nnx.Param(jnp.zeros((1 + side**2, size), dtype))
        self.patch_embed = Linear(3 * config.patch_size**2, size, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.blocks = stack_layers(lambda r: Block(config, dtype, r), config.num_hidden_layers, rngs)
        self.norm = nnx.LayerNorm(size, epsilon=config.layer_norm_eps, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Features of pictures.

        Args:
          pixels: float[B, H, W, 3], normalised (see `normalised`); H and W multiples of the patch size.

        Returns:
          float[B, 1 + H W / patch ** 2, hidden]: the class token, then the patches row by row.
        """
        batch, height, width, _ = pixels.shape
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"a picture of {height} x {width} pixels does not divide into patches of {patch}")
        rows, columns = height // patch, width // patch
        # A matmul over flattened patches, in the order of the convolution it stands for: channel, row, column.
        x = pixels.reshape(batch, rows, patch, columns, patch, 3).transpose(0, 1, 3, 5, 2, 4)
        x = self.patch_embed(x.reshape(batch, rows * columns, -1))
        positions = self.positions[...]
        h = jnp.concatenate([jnp.broadcast_to(self.cls_token[...] + positions[0], (batch, 1, x.shape[-1])),
                             x + self._resampled(positions[1:], rows, columns)], axis=1)  # fmt: skip
        h = scan_layers(self.blocks, lambda block, h, _: block(h), h)
        return self.norm(h)

    def _resampled(self, positions: jax.Array, rows: int, columns: int) -> jax.Array:
        """Learned positions [side ** 2, H] at the centres of a grid of rows x columns patches, in float32."""
        side = self.config.positions_side
        if (rows, columns) == (side, side):
            return positions
        grid = positions.astype(jnp.float32).reshape(side, side, -1)
        down, across = cubic_resampling(side, rows), cubic_resampling(side, columns)
        out = jnp.einsum("rs,cq,sqh->rch", down, across, grid, precision="highest")
        return out.reshape(rows * columns, -1).astype(positions.dtype)


@functools.cache
def cubic_resampling(size: int, wanted: int) -> np.ndarray:
    """float32[wanted, size]: cubic convolution (Keys, 1981, a = -3/4) from `size` samples to `wanted`, pixel centres
    aligned and borders repeated. What PyTorch's bicubic interpolation does along each axis."""
    a = -0.75
    centre = (np.arange(wanted) + 0.5) * size / wanted - 0.5
    first = np.floor(centre).astype(int) - 1
    out = np.zeros((wanted, size))
    for tap in range(4):
        x = np.abs(centre - (first + tap))
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
        np.add.at(out, (np.arange(wanted), np.clip(first + tap, 0, size - 1)), np.where(x <= 1, near, far))
    return out.astype(np.float32)


def normalised(images: np.ndarray) -> np.ndarray:
    """uint8[B, H, W, 3] -> float32[B, H, W, 3], what the network takes."""
    return (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)


_LAYER = {
    "norm1.scale": "norm1.weight", "norm1.bias": "norm1.bias",
    "query.kernel": "attention.attention.query.weight", "query.bias": "attention.attention.query.bias",
    "key.kernel": "attention.attention.key.weight", "key.bias": "attention.attention.key.bias",
    "value.kernel": "attention.attention.value.weight", "value.bias": "attention.attention.value.bias",
    "proj.kernel": "attention.output.dense.weight", "proj.bias": "attention.output.dense.bias",
    "scale1": "layer_scale1.lambda1", "norm2.scale": "norm2.weight", "norm2.bias": "norm2.bias",
    "fc1.kernel": "mlp.{fc1}.weight", "fc1.bias": "mlp.{fc1}.bias",
    "fc2.kernel": "mlp.{fc2}.weight", "fc2.bias": "mlp.{fc2}.bias", "scale2": "layer_scale2.lambda1",
}  # fmt: skip
_WHOLE = {
    "cls_token": "embeddings.cls_token", "positions": "embeddings.position_embeddings",
    "patch_embed.kernel": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.scale": "layernorm.weight", "norm.bias": "layernorm.bias",
}  # fmt: skip
"""Ours and Hugging Face's names; a linear kernel is transposed there, the patch embedding a convolution."""


def _names(path: str, config: Dinov2Config) -> list[str]:
    """The tensors a parameter is made of, one a layer where it is stacked."""
    if path in _WHOLE:
        return [_WHOLE[path]]
    fc1, fc2 = ("weights_in", "weights_out") if config.use_swiglu_ffn else ("fc1", "fc2")
    name = _LAYER[path.removeprefix("blocks.")].format(fc1=fc1, fc2=fc2)
    return [f"encoder.layer.{layer}.{name}" for layer in range(config.num_hidden_layers)]


def load_dinov2(model: str | Path, dtype: str = "float32") -> Dinov2:
    """Opens a DINOv2 directory in Hugging Face layout, such as ``facebook/dinov2-large``.

    Args:
      model: the directory, or a hub name whose files are in the local cache.
      dtype: of parameters and computation.

    Raises:
      FileNotFoundError: the directory, or a file it should hold, is not there.
      ValueError: the files contradict each other, or hold another architecture.
    """
    directory = model_directory(model)
    config = Dinov2Config.load(directory)
    files = TensorFiles(directory)
    abstract = nnx.eval_shape(lambda: Dinov2(config, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(abstract)
    loaded = []
    for path, leaf in nnx.to_flat_state(state):
        name = ".".join(map(str, path))
        loaded.append((path, leaf.replace(_read(files, _names(name, config), leaf.shape, dtype, name))))
    return nnx.merge(graphdef, nnx.from_flat_state(loaded))


def _read(files: TensorFiles, names: list[str], shape: tuple[int, ...], dtype: str, path: str) -> jax.Array:
    stacked = path.startswith("blocks.")
    out = np.empty(shape, jnp.dtype(dtype))
    for layer, name in enumerate(names):
        if name not in files.where:
            raise ValueError(f"{files.directory} lacks the tensor {name}")
        value = files.read(name, slice(None))
        if path.endswith(".kernel"):
            value = value.reshape(value.shape[0], -1).T
        place = out[layer] if stacked else out
        if value.size != place.size or path.endswith(".kernel") and value.shape != place.shape:
            found = files.shape(name)
            raise ValueError(f"{files.directory}: {name} has the shape {found}; config.json makes it {place.shape}")
        place[...] = value.reshape(place.shape)
    return jnp.asarray(out)
