"""The programs of a recipe as functions of shapes: what training runs, with nothing loaded and no data made."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxerm.models.attention import Kernel
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.flops import decode_flops, forward_flops
from jaxerm.models.qwen3_vl.inputs import Inputs, VisionInputs
from jaxerm.models.qwen3_vl.model import abstract_model
from jaxerm.models.qwen3_vl.sizes import SIZES, size_config
from jaxerm.models.sharding import batch_sharding, state_shardings
from jaxerm.recipe import GrpoRecipe, SftRecipe
from jaxerm.train.losses import next_token_log_probs, sft_loss
from jaxerm.train.state import TrainState, make_optimizer


@dataclass(frozen=True)
class Program:
    """One compiled program.

    Attributes:
      name: ``train_step``, ``prefill``, ``decode`` or ``scoring``.
      function: what is compiled.
      arguments: shapes with shardings.
      model_flops: what the model needs for it, see `flops.forward_flops`.
      resident: shapes with shardings that lie in memory beside it.
      donate: arguments whose memory is used again.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    model_flops: float
    resident: Any = None
    donate: tuple[int, ...] = ()


@dataclass(frozen=True)
class Choices:
    """What a plan may change.

    Attributes:
      batch: rows of a training program.
      remat: see `layers.REMAT_POLICIES`.
      chunk: positions whose logits exist at once.
    """

    batch: int
    remat: str = "full"
    chunk: int = 512


def model_config(model: str) -> Qwen3VLConfig:
    """Of a directory, or of a released size that is part of the name: no weights are needed.

    Raises:
      ValueError: neither.
    """
    if (Path(model) / "config.json").is_file():
        return Qwen3VLConfig.load(model)
    for size in sorted(SIZES, key=len, reverse=True):
        if re.search(rf"(?<![0-9.]){re.escape(size)}(?![0-9A-Za-z])", model, re.IGNORECASE):
            return size_config(size)
    raise ValueError(f"{model}: no config.json there, and no released size ({', '.join(SIZES)}) in the name")


def abstract_inputs(config: Qwen3VLConfig, rows: int, length: int, patches: int, mesh: Mesh) -> Inputs:
    """Shapes of a batch, its rows spread over the mesh."""

    def of(dtype, *shape):
        return jax.ShapeDtypeStruct((rows, *shape), dtype, sharding=batch_sharding(mesh))

    count, whole, real = patches, partial(of, jnp.int32), partial(of, jnp.float32)
    vision = VisionInputs(
        real(count, config.vision.patch_dim), whole(count, 2), whole(count), whole(count, 4), real(count, 4)
    )
    merged = count // config.vision.spatial_merge_size**2
    return Inputs(
        whole(length), whole(3, length), whole(length), whole(length), whole(merged), vision if patches else None
    )


def _spread(tree: Any, mesh: Mesh) -> Any:
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        state_shardings(tree, mesh),
    )


class _Model:
    """A model of shapes on a mesh."""

    def __init__(self, name: str, recipe: Any, mesh: Mesh, kernel: Kernel):
        self.config, self.mesh = model_config(name), mesh
        kinds = {"dtype": jnp.dtype(recipe.dtype.compute), "param_dtype": jnp.dtype(recipe.dtype.param)}
        self.graphdef, state = nnx.split(abstract_model(self.config, **kinds, kernel=kernel))
        self.params = _spread(state, mesh)

    def rows(self, dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=batch_sharding(self.mesh))

    def log_probs(self, params: Any, inputs: Inputs, remat: str, chunk: int) -> jax.Array:
        return next_token_log_probs(nnx.merge(self.graphdef, params), inputs, remat=remat, chunk=chunk)

    def train_step(self, recipe: Any, choices: Choices, length: int, patches: int) -> Program:
        optimizer = make_optimizer(recipe.optimizer)
        state = _spread(jax.eval_shape(lambda p: TrainState.create(p, optimizer), self.params), self.mesh)
        inputs = abstract_inputs(self.config, choices.batch, length, patches, self.mesh)

        def step(state, inputs, weights, rate):
            def loss_of(params):
                model = nnx.merge(self.graphdef, params)
                return sft_loss(model, inputs, weights, remat=choices.remat, chunk=choices.chunk)

            loss, gradients = jax.value_and_grad(loss_of)(state.params)
            return (*state.apply(gradients, optimizer, rate), loss)

        weights, rate = self.rows(jnp.float32, choices.batch, length), jax.ShapeDtypeStruct((), jnp.float32)
        flops = 3 * forward_flops(self.config, choices.batch, length, patches)
        return Program("train_step", step, (state, inputs, weights, rate), flops, donate=(0,))

    def scoring(self, rows: int, length: int, patches: int, choices: Choices) -> Program:
        inputs = abstract_inputs(self.config, rows, length, patches, self.mesh)

        def score(params, inputs):
            return self.log_probs(params, inputs, "none", choices.chunk)

        return Program("scoring", score, (self.params, inputs), forward_flops(self.config, rows, length, patches))

    def prefill(self, rows: int, length: int, patches: int, room: int) -> Program:
        inputs = abstract_inputs(self.config, rows, length, patches, self.mesh)

        def prefill(params, inputs):
            model = nnx.merge(self.graphdef, params)
            hidden, cache = model.hidden_states(inputs, model.empty_cache(rows, length + room))
            return model.unembed(hidden[:, -1]), jax.lax.with_sharding_constraint(cache, self._cache(rows, 0)[1])

        flops = forward_flops(self.config, rows, length, patches, predicted=1)
        return Program("prefill", prefill, (self.params, inputs), flops)

    def decode(self, rows: int, length: int) -> Program:
        cache, shardings = self._cache(rows, length)

        def decode(params, tokens, positions, slot, cache):
            model = nnx.merge(self.graphdef, params)
            hidden, cache = model.decode(tokens, positions, slot, cache)
            return model.unembed(hidden), jax.lax.with_sharding_constraint(cache, shardings)

        tokens, slot = self.rows(jnp.int32, rows), jax.ShapeDtypeStruct((), jnp.int32)
        flops = decode_flops(self.config, rows, length)
        return Program("decode", decode, (self.params, tokens, tokens, slot, cache), flops, donate=(4,))

    def _cache(self, rows: int, length: int) -> tuple[Any, Any]:
        """Shapes of a cache, rows and key heads spread, and its shardings."""
        cache = jax.eval_shape(lambda p: nnx.merge(self.graphdef, p).empty_cache(rows, length), self.params)
        batch = ("data", "fsdp")
        heads = "tensor" if self.config.text.num_kv_heads % self.mesh.shape["tensor"] == 0 else None
        wide = NamedSharding(self.mesh, PartitionSpec(None, batch, None, heads, None))
        shardings = type(cache)(wide, wide, NamedSharding(self.mesh, PartitionSpec(batch)))
        spread = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), cache, shardings)
        return spread, shardings


def programs_of(recipe: SftRecipe | GrpoRecipe, mesh: Mesh, kernel: Kernel, choices: Choices) -> list[Program]:
    """Everything a run of the recipe compiles for its models.

    The loss of a train step is the mean log-prob of the tokens, for GRPO as well: its objective adds a few numbers a
    token, which take no memory and no time to speak of.

    Raises:
      ValueError: rows that cannot be shared out among the devices.
    """
    shards = int(mesh.shape["data"] * mesh.shape["fsdp"])
    if choices.batch % shards:
        raise ValueError(
            f"{choices.batch} rows cannot be shared out among {shards} devices: change the batch or the mesh"
        )
    if isinstance(recipe, SftRecipe):
        model = _Model(recipe.model, recipe, mesh, kernel)
        return [model.train_step(recipe, choices, recipe.max_length, recipe.max_patches)]
    policy, judge = _Model(recipe.policy, recipe, mesh, kernel), _Model(recipe.reward.model, recipe, mesh, kernel)
    reward, longest = recipe.reward, recipe.max_prompt_length + recipe.max_new_tokens
    prompts = _fitting(recipe.rollout_prompts or recipe.prompts_per_step, shards)
    judged = _fitting(reward.rows, shards)
    train = policy.train_step(recipe, choices, longest, recipe.max_patches)
    # Colocated: optimiser, reference and reward model stay where they are while anything else runs.
    state, reference = train.arguments[0], policy.params
    accumulated = [policy.params] if recipe.micro_batch else []
    beside = {
        "train_step": [judge.params, reference, accumulated],
        "policy": [(state.opt_state, state.step), judge.params, reference],
        "judge": [state, reference],
    }
    return [
        replace(train, resident=beside["train_step"]),
        replace(policy.prefill(prompts, recipe.max_prompt_length, recipe.max_patches, recipe.max_new_tokens),
                resident=beside["policy"]),
        replace(policy.decode(prompts * recipe.rollouts, longest), resident=beside["policy"]),
        replace(judge.scoring(judged, reward.max_prompt_length, reward.max_patches, choices), resident=beside["judge"]),
    ]  # fmt: skip


def _fitting(rows: int, shards: int) -> int:
    return max(shards, rows // shards * shards)


def resident_bytes(tree: Any) -> int:
    """Bytes a device holds of a pytree of shapes with shardings."""

    def size(leaf):
        shape = leaf.shape if leaf.sharding is None else leaf.sharding.shard_shape(leaf.shape)
        return int(np.prod(shape, dtype=np.int64)) * leaf.dtype.itemsize

    return sum(size(leaf) for leaf in jax.tree.leaves(tree))
