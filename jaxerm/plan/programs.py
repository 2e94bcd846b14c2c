"""The programs of a recipe as functions of shapes: what a run compiles, with nothing loaded and no data made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental.layout import Format, Layout
from jax.sharding import Mesh

from jaxerm.models.attention import Kernel
from jaxerm.models.language import LanguageModel
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.flops import decode_flops, forward_flops
from jaxerm.models.qwen3_vl.inputs import Inputs, VisionInputs
from jaxerm.models.qwen3_vl.model import Cache, abstract_model
from jaxerm.models.qwen3_vl.sizes import SIZES, size_config
from jaxerm.models.sampler import Sampling, generate, prefill, row_keys
from jaxerm.models.sharding import activation_sharding, replicated, state_shardings
from jaxerm.recipe import GrpoRecipe, SftRecipe
from jaxerm.train import sft
from jaxerm.train.gauges import passes_of
from jaxerm.train.objective import Objective, micro_gradients
from jaxerm.train.rollouts import RolloutBatch
from jaxerm.train.state import TrainState, make_optimizer
from jaxerm.train.trainable import take_apart


@dataclass(frozen=True)
class Program:
    """One compiled program.

    Attributes:
      name: ``train_step``; ``rollout`` and its parts, ``prefill`` and ``decode`` of one token; or ``scoring``.
      function: jitted.
      arguments: shapes with shardings.
      settings: its static arguments.
      model_flops: what the model needs for it, see `qwen3_vl.flops`.
      fixed: shapes with shardings, among the arguments, of what does not grow with the rows.
      read: of what is read from memory once a turn.
      turns: of its loop of no fixed length, at most.
      beside: shapes with shardings that lie in memory while it runs.
    """

    name: str
    function: Any
    arguments: tuple[Any, ...]
    settings: dict[str, Any]
    model_flops: float
    fixed: Any
    read: Any
    turns: int = 1
    beside: Any = field(default=None)


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


def _spread(tree: Any, mesh: Mesh) -> Any:
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        state_shardings(tree, mesh),
    )


def _rows(mesh: Mesh, dtype: Any, *shape: int, rows: int = 0, heads: int | None = None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=activation_sharding(mesh, shape, rows, heads))


def _whole(mesh: Mesh, tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated(mesh)), tree)


def abstract_inputs(config: Qwen3VLConfig, rows: int, length: int, patches: int, mesh: Mesh) -> Inputs:
    """Shapes of a batch, its rows spread over the mesh."""
    whole, real = partial(_rows, mesh, jnp.int32, rows), partial(_rows, mesh, jnp.float32, rows)
    vision = VisionInputs(
        real(patches, config.vision.patch_dim), whole(patches, 2), whole(patches), whole(patches, 4), real(patches, 4)
    )
    merged = patches // config.vision.spatial_merge_size**2
    return Inputs(
        whole(length), whole(3, length), whole(length), whole(length), whole(merged), vision if patches else None
    )


def _prefill(graphdef, params, inputs, *, room, samples):
    model = nnx.merge(graphdef, params)
    hidden, start, cache = prefill(model, inputs, room=room, samples=samples)
    return model.unembed(hidden), start, cache


def _decode(graphdef, params, tokens, positions, slot, cache):
    model = nnx.merge(graphdef, params)
    hidden, cache = model.decode(tokens, positions, slot, cache)
    return model.unembed(hidden), model.in_place(cache)


def _shardings(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.sharding, tree)


def _as_the_loop_reads(cache: Cache) -> Any:
    """Shardings of a cache that lies in memory as the compiler wants it.

    `sampler.generate` is one program, in which prefill and loop agree on it; were each to take it row by row, a decode
    step would begin and end with a copy that no run makes.
    """
    return jax.tree.map(lambda x: Format(Layout.AUTO, x.sharding), cache)


class _Model:
    """A model of shapes on a mesh, taken apart as a recipe trains it."""

    def __init__(self, name: str, recipe: SftRecipe | GrpoRecipe, mesh: Mesh, kernel: Kernel):
        self.config, self.mesh, self.recipe = model_config(name), mesh, recipe
        kinds = {"dtype": jnp.dtype(recipe.dtype.compute), "param_dtype": jnp.dtype(recipe.dtype.param)}
        graphdef, state = nnx.split(abstract_model(self.config, **kinds, kernel=kernel))
        parts = take_apart(LanguageModel(graphdef, state, None), recipe)
        self.graphdef = parts.model.graphdef
        self.learns, self.frozen = _spread(parts.params, mesh), _spread(parts.frozen, mesh)
        self.params = nnx.merge_state(self.learns, self.frozen)
        self.optimizer = make_optimizer(recipe.optimizer)
        self.state = _spread(jax.eval_shape(lambda p: TrainState.create(p, self.optimizer), self.learns), mesh)

    def _learning(self, rows: int, length: int, patches: int) -> float:
        text, vision = passes_of(self.recipe)
        without = forward_flops(self.config, rows, length, 0)
        return text * without + vision * (forward_flops(self.config, rows, length, patches) - without)

    def sft_step(self) -> Program:
        recipe, mesh = self.recipe, self.mesh
        rows, length, patches = recipe.batch_size, recipe.max_length, recipe.max_patches
        inputs = abstract_inputs(self.config, rows, length, patches, mesh)
        weights, rate = _rows(mesh, jnp.float32, rows, length), jax.ShapeDtypeStruct((), jnp.float32)
        settings = {"graphdef": self.graphdef, "optimizer": self.optimizer, "accumulate": recipe.accumulate}
        settings |= {"remat": recipe.remat, "chunk": recipe.logits_chunk}
        arguments = (self.state, self.frozen, inputs, weights, rate)
        flops = self._learning(rows, length, patches)
        return Program("train_step", sft.train_step, arguments, settings, flops, arguments[:2], self.params)

    def grpo_step(self) -> Program:
        recipe, mesh = self.recipe, self.mesh
        rows = training_rows(recipe)
        length = recipe.max_prompt_length + recipe.max_new_tokens
        inputs = abstract_inputs(self.config, rows, length, recipe.max_patches, mesh)
        each = _rows(mesh, jnp.float32, rows, length)
        batch = RolloutBatch(inputs, each, each, _rows(mesh, jnp.float32, rows))
        banned = jax.ShapeDtypeStruct((self.config.text.vocab_size,), bool)
        count = jax.ShapeDtypeStruct((), jnp.float32)
        arguments = (self.learns, batch, each, each, banned, count, count, self.frozen)
        settings = {"graphdef": self.graphdef, "objective": Objective.of(recipe)}
        flops = self._learning(rows, length, recipe.max_patches)
        return Program("train_step", micro_gradients, arguments, settings, flops, self.params, self.params)

    def prefill(self, rows: int, length: int, patches: int, room: int, samples: int) -> Program:
        arguments = (self.params, abstract_inputs(self.config, rows, length, patches, self.mesh))
        function = partial(_prefill, self.graphdef, room=room, samples=samples)
        cache = _as_the_loop_reads(self._cache(rows * samples, length + room))
        function = jax.jit(function, in_shardings=_shardings(arguments), out_shardings=(None, None, cache))
        flops = forward_flops(self.config, rows, length, patches, predicted=1)
        return Program("prefill", function, arguments, {}, flops, self.params, self.params)

    def decode(self, rows: int, length: int) -> Program:
        cache = self._cache(rows, length)
        tokens, slot = _rows(self.mesh, jnp.int32, rows), jax.ShapeDtypeStruct((), jnp.int32)
        alike, laid = (self.params, tokens, tokens, slot), _as_the_loop_reads(cache)
        function = jax.jit(
            partial(_decode, self.graphdef),
            in_shardings=(*_shardings(alike), laid),
            out_shardings=(None, laid),
            donate_argnums=4,
        )
        flops = decode_flops(self.config, rows, length)
        return Program("decode", function, (*alike, cache), {}, flops, self.params, (self.params, cache))

    def _cache(self, rows: int, length: int) -> Cache:
        text = self.config.text
        shape = (text.num_layers, rows, text.num_kv_heads, length, text.head_dim)
        wide = _rows(self.mesh, jnp.dtype(self.recipe.dtype.compute), *shape, rows=1, heads=2)
        return Cache(wide, wide, _rows(self.mesh, jnp.int32, rows, length))

    def rollout(self, rows: int, length: int, patches: int, new: int, samples: int) -> Program:
        return self._generation("rollout", rows, length, patches, new, samples)

    def scoring(self) -> Program:
        """A lot of critiques."""
        reward = self.recipe.reward
        shape = reward.rows, reward.max_prompt_length, reward.max_patches
        return self._generation("scoring", *shape, reward.max_new_tokens, 1)

    def _generation(self, name: str, rows: int, length: int, patches: int, new: int, samples: int) -> Program:
        """A lot of answers as the sampler writes them: one prefill and as many tokens as there may be."""
        inputs = abstract_inputs(self.config, rows, length, patches, self.mesh)
        keys = _whole(self.mesh, jax.eval_shape(lambda: row_keys(0, np.arange(rows * samples))))
        banned = jax.ShapeDtypeStruct((self.config.text.vocab_size,), bool)
        arguments = (self.params, inputs, banned, keys, jax.eval_shape(Sampling().arrays))
        function = jax.jit(partial(generate, self.graphdef, max_new_tokens=new, samples=samples))
        flops = forward_flops(self.config, rows, length, patches, predicted=1)
        # The first token comes of the prompt. Each other sees the prompt and those before it: on average half.
        flops += (new - 1) * decode_flops(self.config, rows * samples, length + new / 2)
        return Program(name, function, arguments, {}, flops, self.params, self.params, new - 1)


def training_rows(recipe: SftRecipe | GrpoRecipe) -> int:
    """Rows whose gradients are taken at once."""
    if isinstance(recipe, SftRecipe):
        return recipe.batch_size // recipe.accumulate
    return recipe.micro_batch or recipe.mini_batch * recipe.rollouts


def programs_of(recipe: SftRecipe | GrpoRecipe, mesh: Mesh, kernel: Kernel, only: str | None = None) -> list[Program]:
    """What a run of the recipe compiles for its models, in the functions it calls.

    Left out are programs that take no more than those here: the log-probs of frozen weights (the forward half of
    GRPO's train step) and the optimiser's own step in GRPO.

    Args:
      only: name of one program, alone on the machine: nothing lies beside it.

    Raises:
      ValueError: rows that cannot be shared out among the devices; roles with devices of their own; no such program.
    """
    rows, shards = training_rows(recipe), mesh.shape["data"] * mesh.shape["fsdp"]
    if rows % shards:
        raise ValueError(f"{rows} rows cannot be shared out among {shards} devices: change the batch or the mesh")
    if isinstance(recipe, SftRecipe):
        programs = [_Model(recipe.model, recipe, mesh, kernel).sft_step()]
    else:
        programs = _grpo_programs(recipe, mesh, kernel)
    if only is None:
        return programs
    found = [replace(program, beside=None) for program in programs if program.name == only]
    if not found:
        raise ValueError(f"program {only!r} is none of this recipe; there are {', '.join(p.name for p in programs)}")
    return found


def _grpo_programs(recipe: GrpoRecipe, mesh: Mesh, kernel: Kernel) -> list[Program]:
    if recipe.role_to_mesh:
        raise ValueError("role_to_mesh: a plan is made for roles that share all devices; leave it out")
    policy = _Model(recipe.policy, recipe, mesh, kernel)
    judged = recipe.reward is not None and recipe.reward.model is not None and recipe.reward.url is None
    # The judge is never trained: its own split does not matter, and LoRA is the policy's.
    plain = recipe.model_copy(update={"lora": None, "freeze": []})
    judge = _Model(recipe.reward.model, plain, mesh, kernel) if judged else None
    # With LoRA the reference shares what is frozen; else it is a model of its own.
    reference = policy.learns if recipe.reference is None else policy.params
    beside_all = [reference, judge.params if judge else None]
    prompts = min(recipe.rollout_prompts or recipe.prompts_per_step, recipe.prompts_per_step)
    longest = recipe.max_prompt_length + recipe.max_new_tokens
    moments = (policy.state.opt_state, policy.state.step)
    several = recipe.micro_batch not in (None, recipe.mini_batch * recipe.rollouts)
    # Gradients of the micro-batches before this one are added up.
    programs = [replace(policy.grpo_step(), beside=[beside_all, moments, policy.learns if several else None])]
    lot = prompts, recipe.max_prompt_length, recipe.max_patches, recipe.max_new_tokens, recipe.rollouts
    write = policy.decode(prompts * recipe.rollouts, longest)
    parts = policy.prefill(*lot), write, policy.rollout(*lot)
    programs += [replace(program, beside=[beside_all, moments]) for program in parts]
    if judge:
        programs.append(replace(judge.scoring(), beside=[reference, policy.state, policy.frozen]))
    return programs


def resident_bytes(tree: Any) -> int:
    """Bytes a device holds of a pytree of shapes with shardings."""

    def size(leaf):
        shape = leaf.shape if leaf.sharding is None else leaf.sharding.shard_shape(leaf.shape)
        return int(np.prod(shape, dtype=np.int64)) * leaf.dtype.itemsize

    return sum(size(leaf) for leaf in jax.tree.leaves(tree))
