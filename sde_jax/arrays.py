"""Array type aliases, broadcasting of per-example coefficients, and pytree dataclasses."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import (
    Array as Array,
    Bool as Bool,
    Float as Float,
    Int as Int,
    Key as Key,
    PRNGKeyArray as PRNGKeyArray,
)

PyTree = Any
Examples = Float[Array, "batch *shape"]
Image = Float[Array, "batch height width channels"]
Signal = Float[Array, "batch *axes channels"]
"""Channels over one, two or three spatial axes: series, images or volumes."""
PerExample = Float[Array, "batch"]
Keys = Key[Array, "batch"]
Kind = TypeVar("Kind", bound=type)


def expand_like(coefficient: Float[Array, "*batch"], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Reshapes ``coefficient``, a scalar or one number per example, to broadcast against ``x``.

    Raises:
      ValueError: if ``coefficient`` has more dimensions than ``x``.
    """
    coefficient = jnp.asarray(coefficient)
    if coefficient.ndim > x.ndim:
        raise ValueError(
            f"coefficient of shape {coefficient.shape} has a higher rank than x of shape {x.shape}"
        )
    return coefficient.reshape(coefficient.shape + (1,) * (x.ndim - coefficient.ndim))


def sum_except_batch(x: Float[Array, "batch *shape"]) -> Float[Array, "batch"]:
    """Sums each example of ``x`` over all dimensions but the first."""
    return x.reshape(x.shape[0], -1).sum(axis=1)


def as_examples(name: str, x: Any) -> Examples:
    """Returns ``x``, the argument called ``name``, as examples in model coordinates.

    Raises:
      ValueError: unless they are real numbers of a floating-point type, with a batch dimension.
    """
    x = x if hasattr(x, "dtype") else np.asarray(x, jnp.result_type(float))
    if not jnp.issubdtype(x.dtype, jnp.floating) or not x.ndim:
        raise ValueError(
            f"`{name}` must be floating-point examples [count, *shape] in model coordinates: got "
            f"{x.dtype} {list(x.shape)}. `dequantize` of an `ImageScaling` maps grey levels there, "
            "and `place` without noise."
        )
    return jnp.asarray(x)


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Runs in JAX's usual types of 32 bits, whatever its global settings say.

    What is trained, stored and measured then does not depend on `jax_enable_x64` and
    `jax_numpy_dtype_promotion`. Also a decorator, not for generators.
    """
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


def precision_of(tree: PyTree) -> Any:
    """Returns the type to compute in with the arrays of ``tree``: float64 if one is, else float32.

    Without floating-point arrays, as for a function, it is JAX's default type.
    """
    types = [x.dtype for x in jax.tree.leaves(tree) if isinstance(x, jax.Array | np.ndarray)]
    floating = [of_one for of_one in types if jnp.issubdtype(of_one, jnp.floating)]
    return jnp.result_type(jnp.float32, *floating) if floating else jnp.result_type(float)


def pytree(kind: Kind) -> Kind:
    """Registers a dataclass as a pytree of its fields; fields marked ``static`` are auxiliary data.

    Differs from `jax.tree_util.register_dataclass` in one respect. There (jax 0.12), two classes
    with the same number of fields and the same static ones have equal tree structures, so a hash
    collision can make a compiled function run the program of one class with the other. Here the
    structures of different classes are never equal.
    """
    fields = dataclasses.fields(kind)
    static = [field.name for field in fields if field.metadata.get("static")]
    arrays = [field.name for field in fields if not field.metadata.get("static")]

    def flatten(tree: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(tree, name) for name in arrays], tuple(getattr(tree, n) for n in static)

    def flatten_with_keys(tree: Any) -> tuple[list[Any], tuple[Any, ...]]:
        children, structure = flatten(tree)
        keys = map(jax.tree_util.GetAttrKey, arrays)
        return list(zip(keys, children, strict=True)), structure

    def unflatten(structure: tuple[Any, ...], children: Any) -> Any:
        tree: Any = object.__new__(kind)
        for name, value in zip([*static, *arrays], [*structure, *children], strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(kind, flatten_with_keys, unflatten, flatten)
    return kind


def strided_parts(tree: PyTree, count: int) -> list[PyTree]:
    """Splits the arrays of a batch into ``count`` equal parts, which must divide their lengths.

    Part k has the examples ``k, k + count, ...``. Each device that shares a batch therefore has its
    share of every part.
    """
    strided = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]), tree)
    return [jax.tree.map(lambda x, k=k: x[:, k], strided) for k in range(count)]


def first_place(wrong: np.ndarray) -> list[int]:
    """Returns the indices of the first true element."""
    return [int(number) for number in np.unravel_index(wrong.argmax(), wrong.shape)]
