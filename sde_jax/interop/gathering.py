"""Builds trees of parameters from named arrays and lists every mismatch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from sde_jax.arrays import PyTree

TreePath = tuple[str, ...]
Shape = tuple[int, ...]
Axes = tuple[int, ...]

OIHW = (2, 3, 1, 0)
"""The axes of a convolution's kernel in PyTorch, in the order of ours."""


class Slot(NamedTuple):
    """The place, shapes and conversion of an array."""

    path: TreePath | None
    """Its place in the tree; None for an array that must exist and is not used."""
    shapes: tuple[Shape, ...]
    """The permitted shapes."""
    convert: Callable[[np.ndarray], np.ndarray] = np.asarray
    """Conversion from its layout to the tree's."""


def torch_slot(path: TreePath | None, shape: Shape, axes: Axes) -> Slot:
    """Returns the slot of a tensor of PyTorch that becomes an array of ``shape``.

    Args:
      path: the place of the array.
      shape: the shape of the array, without leading axes of size 1.
      axes: the axes in PyTorch in the order of ours.
    """
    ours = padded(shape, axes)
    theirs = tuple(ours[axes.index(axis)] for axis in range(len(axes)))
    return Slot(path, (theirs,), lambda array: array.transpose(axes).reshape(shape))


def padded(shape: Shape, axes: Axes) -> Shape:
    """Returns the shape with leading axes of size 1, one axis for each of ``axes``."""
    return (1,) * (len(axes) - len(shape)) + shape


def without_prefix(values: Mapping[Any, Any], known: Iterable[str]) -> dict[str, Any]:
    """Returns the values by their names without the prefix that most of the ``known`` ones have.

    Wrappers such as DataParallel, DistributedDataParallel and `torch.compile` add one, and so does
    a module that contains the network.
    """
    known, prefixes = set(known), Counter[str]()
    for name in map(str, values):
        ends = [0, *(place + 1 for place, letter in enumerate(name) if letter == ".")]
        prefixes.update(name[:end] for end in ends if name[end:] in known)
    prefix = prefixes.most_common(1)[0][0] if prefixes else ""
    return {str(name).removeprefix(prefix): value for name, value in values.items()}


def gather(
    section: str, values: Mapping[str, Any], slots: Mapping[str, Slot], problems: list[str]
) -> PyTree:
    """Returns the tree of the arrays in float32.

    Arrays that are missing, unexpected, of the wrong shape or not of real numbers are added to
    ``problems`` and left out of the tree.
    """
    tree: dict[TreePath, np.ndarray] = {}
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
            tree[path] = convert(value).astype(np.float32, copy=False)
    unexpected = sorted(values.keys() - slots.keys())
    problems.extend(f"{section} has {name}, which the model does not have" for name in unexpected)
    return unflatten_dict(tree)
