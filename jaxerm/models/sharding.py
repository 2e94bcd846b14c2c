"""Who holds what: the mesh, one table of rules for parameters, rows of a batch over the data axes.

The only file that knows mesh axes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp", "tensor")
"""Replicas; shards of parameters and rows; shards of heads and hidden units."""

# First match wins; the spec is that of the last axes of the parameter, a stack's layer axis is never cut.
_RULES: list[tuple[str, tuple[str | None, ...]]] = [
    (r"^embed$", ("tensor", "fsdp")),
    (r"lm_head\.kernel$", ("fsdp", "tensor")),
    (r"(q_proj|k_proj|v_proj|gate_proj|up_proj|qkv|fc1)\.kernel$", ("fsdp", "tensor")),
    (r"(o_proj|down_proj|proj|fc2)\.kernel$", ("tensor", "fsdp")),
    (r"patch_embed\.kernel$", (None, "fsdp")),
    # Experts are cut inside, each in the same way: all devices work on every expert, however the tokens are spread.
    (r"experts\.gate_up_kernel$", ("fsdp", "tensor")),
    (r"experts\.down_kernel$", ("tensor", "fsdp")),
]


def make_mesh(shape: dict[str, int] | None = None, devices: Any = None) -> Mesh:
    """A mesh over all devices.

    Args:
      shape: size of each axis of `AXES`; missing ones are 1, and one may be -1, for what is left. None: all in fsdp.
        A single process may take fewer devices than there are; it takes the first.
      devices: all there are if None.

    Raises:
      ValueError: an unknown axis, or sizes that do not multiply to the number of devices.
    """
    devices = np.asarray(jax.devices() if devices is None else devices)
    shape = {"fsdp": -1} if shape is None else dict(shape)
    if unknown := set(shape) - set(AXES):
        raise ValueError(f"mesh axis {min(unknown)!r} is unknown; the axes are {', '.join(AXES)}")
    sizes = [shape.get(axis, 1) for axis in AXES]
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise ValueError(f"mesh {shape}: sizes are 1 or more, and one of them may be -1, for what is left")
    if -1 in sizes:
        rest = int(np.prod([size for size in sizes if size != -1]))
        if devices.size % rest:
            raise ValueError(f"mesh {shape}: the {devices.size} devices cannot be shared out among {rest}")
        sizes[sizes.index(-1)] = devices.size // rest
    if jax.process_count() == 1:
        devices = devices.ravel()[: int(np.prod(sizes))]
    if int(np.prod(sizes)) != devices.size:
        raise ValueError(
            f"mesh {dict(zip(AXES, sizes, strict=True))} needs {np.prod(sizes)} devices; there are {devices.size}"
        )
    return Mesh(devices.reshape(sizes), AXES)


def param_spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Partition of one parameter; an axis that does not divide evenly stays whole."""
    for pattern, names in _RULES:
        if re.search(pattern, path):
            full = (None,) * (len(shape) - len(names)) + names
            return PartitionSpec(
                *(
                    name if name and mesh.shape[name] > 1 and size % mesh.shape[name] == 0 else None
                    for name, size in zip(full, shape, strict=True)
                )
            )
    return PartitionSpec()


def state_shardings(tree: Any, mesh: Mesh) -> Any:
    """By the rules, for each leaf of a pytree of parameters, or of optimiser moments shaped like them."""

    def place(path, leaf):
        keys = [str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path]
        name = ".".join(key for key in keys if key != "value")
        # Moments live under names of their own (mu, nu); the rules look at the end of the path, and at `embed` alone.
        spec = param_spec("embed" if keys and "embed" in keys[-2:] else name, np.shape(leaf), mesh)
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place, tree)


def shard_state(tree: Any, mesh: Mesh) -> Any:
    """Places a pytree of parameters, or of optimiser moments shaped like them, by the rules."""
    return jax.tree.map(jax.device_put, tree, state_shardings(tree, mesh))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows of a batch over data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def shard_batch(tree: Any, mesh: Mesh) -> Any:
    """Places host arrays whose leading axis is the row, each process giving its own rows."""
    sharding = batch_sharding(mesh)
    if jax.process_count() > 1:
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)
    return jax.device_put(tree, sharding)


def activation_sharding(mesh: Mesh, shape: Sequence[int], rows: int = 0, heads: int | None = None) -> NamedSharding:
    """Rows over data and fsdp, heads over tensor; an axis that does not divide evenly stays whole.

    Args:
      shape: of the array.
      rows, heads: which of its axes they are.
    """
    spec: list[Any] = [None] * len(shape)
    if shape[rows] % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0:
        spec[rows] = ("data", "fsdp")
    if heads is not None and shape[heads] % mesh.shape["tensor"] == 0:
        spec[heads] = "tensor"
    return NamedSharding(mesh, PartitionSpec(*spec))


def keep_rows(x: jax.Array, mesh: Mesh | None, rows: int = 0, heads: int | None = None) -> jax.Array:
    """Tells the compiler that rows of activations stay where they are, and the parameters come to them.

    It would spread the embedded tokens as the table of embeddings is, over hidden units, and every layer would
    then hold all rows of the batch.

    Args:
      mesh: None, or of one device: nothing to tell.
      rows, heads: see `activation_sharding`.
    """
    if mesh is None or mesh.size == 1:
        return x
    return jax.lax.with_sharding_constraint(x, activation_sharding(mesh, x.shape, rows, heads))


def keep_state(tree: Any, mesh: Mesh | None) -> Any:
    """Tells the compiler that gradients lie as the rules have their parameters; it may make them whole otherwise.

    Args:
      tree: of parameters, or shaped like them.
      mesh: None, or of one device: nothing to tell.
    """
    if mesh is None or mesh.size == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, state_shardings(tree, mesh))


def shard_rows(tree: Any, like: Any) -> Any:
    """Places host arrays that every process holds whole beside parameters: rows over data and fsdp if they divide.

    Args:
      tree: arrays whose leading axis is the row.
      like: a pytree of parameters. Where these lie on one device, the arrays are returned as they are.
    """
    sharding = next((leaf.sharding for leaf in jax.tree.leaves(like) if hasattr(leaf, "sharding")), None)
    if not isinstance(sharding, NamedSharding) or sharding.mesh.size == 1:
        return tree
    rows, whole = batch_sharding(sharding.mesh), replicated(sharding.mesh)
    shards = sharding.mesh.shape["data"] * sharding.mesh.shape["fsdp"]

    def place(x):
        x = np.asarray(x)
        at = rows if x.ndim and x.shape[0] % shards == 0 else whole
        return jax.make_array_from_callback(x.shape, at, lambda index: x[index])

    return jax.tree.map(place, tree)


def to_host(tree: Any) -> Any:
    """NumPy arrays, whole in every process; where several share an array, each must call it."""

    def fetch(x):
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            from jax.experimental.multihost_utils import process_allgather

            return process_allgather(x, tiled=True)
        return np.asarray(x)

    return jax.tree.map(fetch, tree)


def host_shard(mesh: Mesh) -> tuple[int, int]:
    """Which of how many equal parts of a batch's rows this process gives; processes along `tensor` give the same."""
    rows = mesh.devices.reshape(mesh.shape["data"] * mesh.shape["fsdp"], -1)
    own = [any(device.process_index == jax.process_index() for device in row) for row in rows]
    return own.index(True) // sum(own), len(rows) // sum(own)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same array on every device."""
    return jax.device_put(tree, replicated(mesh))


def per_shard(
    function: Callable[..., jax.Array], mesh: Mesh | None, heads: Sequence[Any], rows: Sequence[Any]
) -> Callable[..., jax.Array]:
    """Runs what the compiler cannot part, a Pallas kernel, on each device's own rows and heads.

    Args:
      function: (*heads, *rows) -> an array laid out like the first.
      mesh: None runs it as it is.
      heads: the arguments [B, T, N, D], whose N is cut over `tensor` if it can be in all of them.
      rows: the arguments [B, T].
    """
    if mesh is None or mesh.size == 1:
        return function
    shards = mesh.shape["data"] * mesh.shape["fsdp"]
    batch = ("data", "fsdp") if heads[0].shape[0] % shards == 0 else None
    tensor = "tensor" if all(x.shape[2] % mesh.shape["tensor"] == 0 for x in heads) else None
    specs = [PartitionSpec(batch, None, tensor, None)] * len(heads) + [PartitionSpec(batch, None)] * len(rows)
    return jax.shard_map(function, mesh=mesh, in_specs=tuple(specs), out_specs=specs[0], check_vma=False)


def shard_model(model: nnx.Module, mesh: Mesh) -> tuple[nnx.GraphDef, nnx.State]:
    """Splits a model into its definition and its parameters, placed by the rules."""
    graphdef, state = nnx.split(model)
    return graphdef, shard_state(state, mesh)
