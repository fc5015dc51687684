"""Builds trees of parameters from named arrays and lists every mismatch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import PyTree

__all__ = ["Slot", "flatten", "gather", "insert", "leaf_at", "part_of", "whole"]

Path = tuple[str, ...]


class Slot(NamedTuple):
    """The place, shapes and conversion of an array."""

    path: Path | None
    """Its place in the tree; None for an array that must exist and is not used."""
    shapes: tuple[tuple[int, ...], ...]
    """The permitted shapes."""
    convert: Callable[[np.ndarray], np.ndarray]
    """Conversion from its layout to the tree's."""


def gather(
    section: str, values: Mapping[str, Any], slots: Mapping[str, Slot], problems: list[str]
) -> PyTree:
    """Returns the tree of the arrays in float32.

    Arrays that are missing, unexpected, of the wrong shape or not of real numbers are added to
    ``problems`` and left out of the tree.
    """
    tree: dict[str, Any] = {}
    for name, (path, shapes, convert) in slots.items():
        if name not in values:
            problems.append(f"{section} lacks {name}, of shape {shapes[0]}")
            continue
        value = values[name]
        if not isinstance(value, np.ndarray) or not jnp.issubdtype(value.dtype, jnp.floating):
            problems.append(f"{section} has {name} without real numbers")
        elif value.shape not in shapes:
            problems.append(f"{section} has {name} of shape {value.shape}, not {shapes[0]}")
        elif path is not None:
            insert(tree, path, convert(value).astype(np.float32, copy=False))
    unexpected = sorted(values.keys() - slots.keys())
    problems.extend(f"{section} has {name}, which the model does not have" for name in unexpected)
    return tree


def part_of(content: Any, problems: list[str], *keys: str) -> Mapping[Any, Any]:
    """Returns the dict under ``keys``, or an empty one and adds a problem."""
    part = content
    for key in keys:
        part = part.get(key) if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping):
        problems.append(f"it lacks the dict `{'.'.join(keys)}`")
        return {}
    return part


def whole(number: Any, name: str, problems: list[str]) -> int:
    """Returns ``number`` as a count, or 0 and adds a problem."""
    if not isinstance(number, int | float | np.generic | np.ndarray) or np.size(number) != 1:
        problems.append(f"it lacks the number {name}")
        return 0
    return int(number)


def flatten(tree: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields path and value of each leaf of nested dicts."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def insert(tree: dict[str, Any], path: Path, leaf: Any) -> None:
    """Inserts a leaf at ``path``."""
    *outer, last = path
    for key in outer:
        tree = tree.setdefault(key, {})
    tree[last] = leaf


def leaf_at(tree: Mapping[str, Any], path: Path) -> Any:
    """Returns the leaf at ``path``."""
    for key in path:
        tree = tree[key]
    return tree
