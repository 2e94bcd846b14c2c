"""What both towers are built from: rotary embedding and stacks of layers that are scanned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxerm.models.attention import MIXED

_keep, _attention = jax.checkpoint_policies, jax.checkpoint_policies.save_only_these_names(MIXED)
REMAT_POLICIES: dict[str, Callable[..., Any] | None] = {
    "full": None,
    "attention": _attention,
    "dots": _keep.save_from_both_policies(_keep.checkpoint_dots, _attention),
    "dots_no_batch": _keep.save_from_both_policies(_keep.checkpoint_dots_with_no_batch_dims, _attention),
}
"""What the backward pass keeps of a layer: ``full`` nothing but its input, ``attention`` what attention gives as well,
``dots_no_batch`` what linear layers give too, ``dots`` what any matmul gives, ``none`` (no entry here) everything."""


class Rope(NamedTuple):
    """Cosine and sine of the rotary angles, float32[B, S, 1, D / 2]."""

    cos: jax.Array
    sin: jax.Array


def rotate(x: jax.Array, rope: Rope) -> jax.Array:
    """Turns the halves of each head of x, float[B, S, N, D], by the angles of `rope`; in float32, back in x's dtype."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * rope.cos - second * rope.sin, second * rope.cos + first * rope.sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def flat_dot_general(lhs: jax.Array, rhs: jax.Array, dimension_numbers: Any, **kinds: Any) -> jax.Array:
    """The product of a linear layer with all leading axes of its input made one.

    The gradient of the kernel contracts the leading axes; over two of them XLA's CPU backend takes twice as long.
    """
    if dimension_numbers != (((lhs.ndim - 1,), (0,)), ((), ())):
        raise ValueError(f"a linear layer contracts its last axis, not {dimension_numbers}")
    out = jax.lax.dot_general(lhs.reshape(-1, lhs.shape[-1]), rhs, (((1,), (0,)), ((), ())), **kinds)
    return out.reshape(*lhs.shape[:-1], rhs.shape[-1])


def turned_dot_general(lhs: jax.Array, rhs: jax.Array, dimension_numbers: Any, **kinds: Any) -> jax.Array:
    """`flat_dot_general` of a kernel that lies as [out, in], for few rows on a CPU.

    XLA's CPU backend reads such a kernel twice as fast, if the rows come as columns. The barriers keep it from folding
    their turning into the product, which would make it slow again.
    """
    if dimension_numbers != (((lhs.ndim - 1,), (0,)), ((), ())):
        raise ValueError(f"a linear layer contracts its last axis, not {dimension_numbers}")
    columns = jax.lax.optimization_barrier(lhs.reshape(-1, lhs.shape[-1]).T)
    out = jax.lax.optimization_barrier(jax.lax.dot_general(rhs, columns, (((1,), (0,)), ((), ())), **kinds))
    return out.T.reshape(*lhs.shape[:-1], rhs.shape[0])


class Linear(nnx.Linear):
    """`nnx.Linear` over flattened leading axes, with room for a low-rank update beside its kernel (see `lora`).

    Attributes:
      lora_a, lora_b: [in, r] and [r, out]; None where there is no update.
      lora_scale: what their product is multiplied with.
    """

    def __init__(self, in_features: int, out_features: int, **kinds: Any):
        super().__init__(in_features, out_features, dot_general=flat_dot_general, **kinds)
        self.lora_a, self.lora_b = nnx.data(None), nnx.data(None)
        self.lora_scale = 0.0

    def turn(self) -> None:
        """Lays the kernel as [out, in], see `turned_dot_general`."""
        self.kernel = nnx.Param(self.kernel[...].T)
        self.dot_general = turned_dot_general

    def __call__(self, x: jax.Array) -> jax.Array:
        """float[..., in] -> float[..., out]."""
        y = super().__call__(x)
        if self.lora_a is None:
            return y
        low = x.astype(y.dtype)
        for factor in (self.lora_a, self.lora_b):
            low = flat_dot_general(low, factor[...].astype(y.dtype), (((low.ndim - 1,), (0,)), ((), ())))
        return y + self.lora_scale * low


@jax.custom_vjp
def place_rows(rows: jax.Array, index: jax.Array, inverse: jax.Array) -> jax.Array:
    """Row `index[b, s]` of `rows` at place s, and zeros where the index is -1.

    `inverse` says at which place each row stands (-1: nowhere), so that the backward pass is a gather too: the scatter
    it would be otherwise is slow on every backend.

    Args:
      rows: float[B, M, H].
      index: int32[B, S].
      inverse: int32[B, M].

    Returns:
      float[B, S, H].
    """
    taken = jnp.take_along_axis(rows, jnp.maximum(index, 0)[..., None], axis=1)
    return jnp.where((index >= 0)[..., None], taken, 0)


def _place_rows_forward(rows, index, inverse):
    return place_rows(rows, index, inverse), (index, inverse)


def _place_rows_backward(residuals, gradient):
    index, inverse = residuals
    return place_rows(gradient, inverse, index), None, None


place_rows.defvjp(_place_rows_forward, _place_rows_backward)


def stack_layers(make: Callable[[nnx.Rngs], nnx.Module], count: int, rngs: nnx.Rngs) -> nnx.Module:
    """`count` layers as one module whose parameters have a leading layer axis."""
    keys = jax.random.split(rngs.params(), count)
    return nnx.vmap(lambda key: make(nnx.Rngs(key)), in_axes=0, out_axes=0)(keys)


def unstack_layers(stack: nnx.Module) -> nnx.List:
    """The layers of a stack as modules of their own, their parameters copied out of it.

    A scan in a loop copies each layer out of its stack again in each turn of the loop; XLA's CPU backend does, and a
    decode step is hardly more than one reading of the parameters.
    """
    graphdef, state = nnx.split(stack)
    count = len(jax.tree.leaves(state)[0])
    layers = [jax.tree.map(lambda x, number=number: x[number], state) for number in range(count)]
    return nnx.List(nnx.merge(graphdef, layer) for layer in layers)


def scan_layers(
    stack: nnx.Module | nnx.List,
    step: Callable[[Any, Any, Any], Any],
    carry: Any,
    xs: Any = None,
    *,
    remat: str = "none",
) -> Any:
    """Runs a stack layer by layer: ``carry = step(layer, carry, x)``, compiled once whatever the depth.

    Args:
      stack: made by `stack_layers`; or what `unstack_layers` made of one: compiled layer by layer, no remat.
      step: one layer's work.
      carry: pytree handed from layer to layer.
      xs: pytree with a leading layer axis, one entry a layer, or None.
      remat: ``none`` or a name of `REMAT_POLICIES`.
    """
    if isinstance(stack, nnx.List):
        for number, layer in enumerate(stack):
            carry = step(layer, carry, jax.tree.map(lambda x, number=number: x[number], xs))
        return carry
    graphdef, state = nnx.split(stack)

    def body(carry, entry):
        layer_state, x = entry
        return step(nnx.merge(graphdef, layer_state), carry, x), None

    if remat != "none":
        body = jax.checkpoint(body, policy=REMAT_POLICIES[remat], prevent_cse=False)
    return jax.lax.scan(body, carry, (state, xs))[0]
