"""The vision tower: packed patches in, merged features and DeepStack taps out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxerm.models.attention import XLA, Kernel, attention
from jaxerm.models.qwen3_vl.config import VisionConfig
from jaxerm.models.qwen3_vl.inputs import VisionInputs
from jaxerm.models.qwen3_vl.layers import Linear, Rope, rotate, scan_layers, stack_layers
from jaxerm.models.sharding import keep_rows

_EPS = 1e-6


class VisionBlock(nnx.Module):
    """Pre-norm transformer block with full attention inside each image."""

    def __init__(self, config: VisionConfig, *, dtype, param_dtype, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.heads = config.num_heads
        self.norm1 = nnx.LayerNorm(config.hidden_size, epsilon=_EPS, **kinds)
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size, **kinds)
        self.proj = Linear(config.hidden_size, config.hidden_size, **kinds)
        self.norm2 = nnx.LayerNorm(config.hidden_size, epsilon=_EPS, **kinds)
        self.fc1 = Linear(config.hidden_size, config.intermediate_size, **kinds)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size, **kinds)

    def __call__(self, h: jax.Array, rope: Rope, segment_ids: jax.Array, kernel: Kernel = XLA) -> jax.Array:
        """float[B, P, H] -> float[B, P, H]."""
        batch, length, _ = h.shape
        qkv = self.qkv(self.norm1(h)).reshape(batch, length, 3, self.heads, -1)
        q, k = rotate(qkv[:, :, 0], rope), rotate(qkv[:, :, 1], rope)
        mixed = attention(q, k, qkv[:, :, 2], segment_ids, segment_ids, causal=False, kernel=kernel)
        h = h + self.proj(mixed.reshape(batch, length, -1))
        return h + self.fc2(nnx.gelu(self.fc1(self.norm2(h)), approximate=True))


class PatchMerger(nnx.Module):
    """Joins merge x merge neighbouring patches into one text-sized feature.

    The final merger normalises each patch, the DeepStack mergers the joined patches.
    """

    def __init__(self, config: VisionConfig, *, norm_joined: bool, dtype, param_dtype, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.joined = config.hidden_size * config.spatial_merge_size**2
        self.norm_joined = norm_joined
        self.norm = nnx.LayerNorm(self.joined if norm_joined else config.hidden_size, epsilon=_EPS, **kinds)
        self.fc1 = Linear(self.joined, self.joined, **kinds)
        self.fc2 = Linear(self.joined, config.out_hidden_size, **kinds)

    def __call__(self, h: jax.Array) -> jax.Array:
        """float[B, P, H] -> float[B, P / merge ** 2, out_hidden_size]."""
        if not self.norm_joined:
            h = self.norm(h)
        h = h.reshape(h.shape[0], -1, self.joined)
        if self.norm_joined:
            h = self.norm(h)
        return self.fc2(nnx.gelu(self.fc1(h), approximate=False))


class VisionTower(nnx.Module):
    """Patch embedding (a matmul), blocks scanned from tap to tap, mergers."""

    def __init__(self, config: VisionConfig, *, dtype, param_dtype, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.config = config
        self.patch_embed = Linear(config.patch_dim, config.hidden_size, **kinds)
        # Of the size of an embedded patch: a position that cannot be seen beside the pixels is not learned from.
        self.pos_embed = nnx.Param(
            0.5 * jax.random.normal(rngs.params(), (config.num_position_embeddings, config.hidden_size), param_dtype)
        )
        ends = [index + 1 for index in config.deepstack_layers] + [config.depth]
        sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        self.stages = nnx.List(
            [
                stack_layers(lambda r: VisionBlock(config, dtype=dtype, param_dtype=param_dtype, rngs=r), size, rngs)
                for size in sizes
                if size
            ]
        )
        self.deepstack_mergers = nnx.List(
            [PatchMerger(config, norm_joined=True, **kinds) for _ in config.deepstack_layers]
        )
        self.merger = PatchMerger(config, norm_joined=False, **kinds)

    def __call__(
        self, inputs: VisionInputs, remat: str = "none", kernel: Kernel = XLA
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Features of every merged patch.

        Returns:
          float[B, P / merge ** 2, H_text], and one such array for each DeepStack tap.
        """
        h = self.patch_embed(inputs.patches)
        # A matmul with four entries a row rather than a gather, whose backward pass would be a scatter.
        spread = jax.nn.one_hot(inputs.tap_index, self.config.num_position_embeddings, dtype=jnp.float32)
        spread = jnp.einsum("bpns,bpn->bps", spread, inputs.tap_weight)
        table = self.pos_embed[...].astype(jnp.float32)
        h = keep_rows(h + jnp.einsum("bps,sh->bph", spread, table, precision="highest").astype(h.dtype), kernel.mesh)
        rope = self._rope(inputs.coordinates)
        taps = []
        for number, stage in enumerate(self.stages):

            def block(layer, h, _):
                return layer(h, rope, inputs.segment_ids, kernel)

            h = scan_layers(stage, block, h, remat=remat)
            if number < len(self.deepstack_mergers):
                taps.append(self.deepstack_mergers[number](h))
        return self.merger(h), taps

    def _rope(self, coordinates: jax.Array) -> Rope:
        """Half of the rotary frequencies turn with the row, half with the column; angles float32[B, P, 1, D / 2]."""
        half = self.config.head_dim // 2
        frequency = 1.0 / self.config.rope_theta ** (jnp.arange(0, half, 2, dtype=jnp.float32) / half)
        angle = coordinates[..., None].astype(jnp.float32) * frequency
        angle = angle.reshape(*angle.shape[:2], 1, half)
        return Rope(jnp.cos(angle), jnp.sin(angle))
