"""Names for arrays and trees of them, per-example numbers in a batch, and parts of a batch."""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = [
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "PRNGKeyArray",
    "PyTree",
    "expand_like",
    "pytree",
    "strided_parts",
    "sum_except_batch",
]

PyTree = Any
Kind = TypeVar("Kind", bound=type)


def expand_like(coefficient: Float[Array, "*batch"], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Gives ``coefficient``, one number or one per example, the rank of ``x`` for broadcasting.

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
    """Sums each example of ``x`` over all its dimensions."""
    return x.reshape(x.shape[0], -1).sum(axis=1)


def pytree(kind: Kind) -> Kind:
    """Makes a dataclass a pytree of its fields, of which those marked ``static`` are structure.

    As `jax.tree_util.register_dataclass`, but for one thing: there the structures of two classes
    are equal if they have as many fields and the same static ones (jax 0.12), so that a compiled
    function may, by an accident of hashing, run the program of one with the other.
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
