"""Arrays of the user's as a source of data."""

from typing import Any

import jax
import numpy as np

from sde_jax.arrays import first_place
from sde_jax.data import (
    BoxScaling,
    ChannelScaling,
    DataSource,
    Dequantize,
    DeviceRows,
    ImageScaling,
    Layout,
)
from sde_jax.data.transform import DequantizeAndFlip, Transform

GIVEN = "given"
"""The one split of such a source."""


def source_of(data: Any, layout: Layout) -> DataSource:
    """Builds the source of these examples alone, in the order given.

    Args:
      data: integer grey levels ``[count, height, width, channels]`` for images, numbers in their
        own unit for other arrays and points.
      layout: shape and scaling of the examples.

    Raises:
      ValueError: if shape, type or range of the data are not those of the layout, or they are
        traced by a transformation of JAX.
    """
    if isinstance(data, jax.core.Tracer):
        raise ValueError(
            "`data` must be an array, since batches are made on the host: got one that JAX traces. "
            "To differentiate, call a `Likelihood` with the score of the run."
        )
    data = np.asarray(data)
    if data.shape[1:] != layout.shape or not len(data):
        wanted = ", ".join(map(str, ("count", *layout.shape)))
        raise ValueError(f"`data` must have the shape [{wanted}]: got {list(data.shape)}.")
    transform: Transform
    if isinstance(layout.scaling, ImageScaling):
        _check_levels(data, layout.scaling.levels)
        rows, transform = data.astype(np.int32), DequantizeAndFlip(scaling=layout.scaling)
    elif not np.isrealobj(data) or not np.issubdtype(data.dtype, np.number):
        raise ValueError(f"`data` must be real numbers: got {data.dtype}.")
    elif isinstance(layout.scaling, ChannelScaling):
        _check_finite(data, log=layout.scaling.log)
        rows = layout.scaling.to_model(data)
        transform = Dequantize(steps=layout.scaling.steps)
    elif isinstance(layout.scaling, BoxScaling):
        rows, transform = layout.scaling.to_model(data), Dequantize()
        _check_inside(data, rows)
    else:
        rows, transform = data.astype(np.float32), Dequantize()
    return DataSource(
        {GIVEN: DeviceRows(rows, None)},
        transform,
        shape=layout.shape,
        scaling=layout.scaling,
    )


def _check_finite(data: np.ndarray, *, log: bool) -> None:
    """Raises ValueError for values without a density."""
    wrong = ~np.isfinite(data) | ((data <= 0) if log else False)
    if wrong.any():
        place = first_place(wrong)
        rule = "finite and positive, since the run takes logarithms" if log else "finite"
        count = np.count_nonzero(wrong)
        raise ValueError(f"`data` must be {rule}: {count} values are not, the first at {place}.")


def _check_inside(data: np.ndarray, rows: np.ndarray) -> None:
    """Raises ValueError for values outside the bounds, or on them."""
    wrong = ~np.isfinite(rows)
    if wrong.any():
        place = first_place(wrong.reshape(data.shape))
        raise ValueError(
            f"`data` must lie inside the bounds of the prior: {np.count_nonzero(wrong)} values do "
            f"not, the first at {place}: {data[tuple(place)]}."
        )


def _check_levels(data: np.ndarray, levels: int) -> None:
    """Raises ValueError unless the data are grey levels."""
    rule = f"`data` must be integer grey levels from 0 to {levels - 1}"
    if not np.issubdtype(data.dtype, np.integer):
        raise ValueError(
            f"{rule}: got {data.dtype}. For images in [0, 1]: "
            f"`np.rint(images * {levels - 1}).astype(int)`."
        )
    if data.min() < 0 or data.max() >= levels:
        raise ValueError(f"{rule}: got {data.min()} to {data.max()}.")
