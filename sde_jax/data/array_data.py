"""Arrays of any numbers as data: their splits, their scaling, and their place in memory."""

import abc
import dataclasses
import functools
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np

from sde_jax.data.channel_scaling import ChannelScaling
from sde_jax.data.conditions import (
    Conditions,
    VectorRows,
    check_conditions,
    classes_of,
    vector_scaling,
)
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.measuring import ScalingName, scaling_of, statistics_of
from sde_jax.data.rows import DeviceRows, HostRows, Rows
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.storage import device_share
from sde_jax.data.tables import Table
from sde_jax.data.transform import Dequantize, DequantizeAndFlip, Transform
from sde_jax.memory import check_fits
from sde_jax.validation import Rule, Spec

Keep = Literal["auto", "device", "file"]
THREADS = 2
SHARE = Rule("lie between 0 and 1", lambda share: 0 < share < 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurements:
    """All that is known of data without reading them."""

    shape: tuple[int, ...]
    """Shape of an example."""
    scaling: ChannelScaling | ImageScaling
    """The scaling, measured on the training split."""
    vector: ChannelScaling | None = None
    """Mean and deviation of conditioning vectors in the training split; None without any."""
    classes: int | None = None
    """Number of class labels; None without any."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayData(Spec, DataSpec):
    """Examples ``[count, *shape, channels]`` of any real numbers.

    Values of integer type are dequantized, and their probability is stated in bits per dimension.
    Other values have a density in their own unit, stated in nats. 8-bit images
    ``[count, height, width, 1 or 3]`` are images as elsewhere: ``scaling`` does not apply.
    """

    scaling: ScalingName = "standardize"
    """standardize: mean 0 and deviation 1 of each channel. range: from -1 to 1. log: the logarithm
    of positive data, standardized. none: as they are."""
    held_out: Annotated[float, SHARE] = 0.1
    """Random share of the examples that is held out as the test split, unless there is a file of
    them."""
    keep: Keep = "auto"
    """device: in its memory as float32; file: read for each batch. auto: on the device where they
    take at most a quarter of its memory (2 GiB on CPU). The batches are the same, bitwise."""
    measured: Measurements | None = None
    """Shape and scaling, measured when a run starts and stored in its configuration."""

    @abc.abstractmethod
    def tables(self) -> Mapping[str, Table]:
        """Opens the numbers, as ``train`` and, if they are held out already, ``test``."""

    def conditions(self) -> Conditions | None:
        """Opens the conditions of the examples; None, as here, if they have none."""
        return None

    def measure(self) -> Self:
        """Returns the spec with its measurements, for which it reads the data once.

        Raises:
          DataNotFoundError: if the data are missing.
          ValueError: if they cannot be trained on.
        """
        return dataclasses.replace(self, measured=self._measurements)

    def layout(self) -> Layout:
        """Returns shape and scaling; reads the data unless they were measured before."""
        known = self.measured or self._measurements
        return Layout(known.shape, known.scaling)

    def load(self) -> DataSource:
        """Opens the data.

        Raises:
          DataNotFoundError: if they are missing, or of another shape than when they were measured.
          ValueError: as `measure`.
        """
        measured = self.measured or self._measurements
        return source_of_tables(
            self._tables, measured, self._conditions, held_out=self.held_out, keep=self.keep
        )

    @functools.cached_property
    def _measurements(self) -> Measurements:
        return measurements_of(self._tables, self.scaling, self.held_out, self._conditions)

    @functools.cached_property
    def _conditions(self) -> Conditions | None:
        conditions = self.conditions()
        if conditions is not None:
            check_conditions(conditions, self._tables)
        return conditions

    @functools.cached_property
    def _tables(self) -> Mapping[str, Table]:
        tables = self.tables()
        ours = tables[TRAIN]
        for table in tables.values():
            if table.values.shape[1:] != ours.values.shape[1:] or table.names != ours.names:
                raise ValueError(
                    f"{table.where} must hold examples of shape {list(ours.values.shape[1:])} as "
                    f"{ours.where} does, with the same columns: it holds "
                    f"{list(table.values.shape[1:])}"
                )
        return tables


def source_of_tables(
    tables: Mapping[str, Table],
    measured: Measurements,
    conditions: Conditions | None = None,
    *,
    held_out: float,
    keep: Keep = "auto",
) -> DataSource:
    """Builds the source of the examples of tables; the arguments are fields of `ArrayData`.

    Raises:
      DataNotFoundError: if they are of another shape than when they were measured.
    """
    table, (shape, scaling) = tables[TRAIN], (measured.shape, measured.scaling)
    if table.values.shape[1:] != shape:
        raise DataNotFoundError(
            f"{table.where} holds examples of shape {list(table.values.shape[1:])}: the run was "
            f"trained on {list(shape)}"
        )
    transform: Transform = DequantizeAndFlip()
    if isinstance(scaling, ChannelScaling):
        transform = Dequantize(steps=scaling.steps)
    numbers = numbers_of(tables, held_out)
    rows = {
        split: placed(
            ArrayRows(tables.get(split, table).values, of_split, scaling),
            None if conditions is None else conditions.rows(split, of_split),
            keep,
        )
        for split, of_split in numbers.items()
    }
    vector = measured.vector
    return DataSource(
        rows,
        transform,
        shape=shape,
        scaling=scaling,
        condition_size=None if vector is None else len(vector.widths),
    )


def placed(rows: "ArrayRows", conditions: VectorRows | np.ndarray | None, keep: Keep) -> Rows:
    """Returns the rows with vectors or labels on the device, or read from the file for each
    batch."""
    vectors = conditions if isinstance(conditions, VectorRows) else None
    labels = conditions if isinstance(conditions, np.ndarray) else None
    size = sum(len(of) * of[np.arange(1)].nbytes for of in (rows, conditions) if of is not None)
    if keep == "file" or (keep == "auto" and size > device_share()):
        return HostRows(images=rows, labels=labels, vectors=vectors, threads=THREADS)
    check_fits(size, "data with `keep`=device")
    everything = np.arange(len(rows))
    return DeviceRows(rows[everything], labels, None if vectors is None else vectors[everything])


def numbers_of(tables: Mapping[str, Table], held_out: float) -> dict[str, np.ndarray]:
    """Returns the numbers of the examples of each split, in its table or in the only one."""
    if TEST in tables:
        return {split: np.arange(len(table.values)) for split, table in tables.items()}
    count = len(tables[TRAIN].values)
    order = np.random.default_rng(0).permutation(count)
    left_out = min(max(round(held_out * count), 1), count - 1)
    return {TRAIN: order[left_out:], TEST: order[:left_out]}


def measurements_of(
    tables: Mapping[str, Table],
    scaling: ScalingName,
    held_out: float,
    conditions: Conditions | None = None,
) -> Measurements:
    """Checks the tables, and measures the training split.

    Raises:
      ValueError: if they cannot be trained on.
    """
    values = tables[TRAIN].values
    chosen = np.zeros(len(values), bool)
    chosen[numbers_of(tables, held_out)[TRAIN]] = True
    measured: ChannelScaling | ImageScaling = ImageScaling()
    if not is_images(values):
        measured = scaling_of(tables[TRAIN], scaling, chosen)
        if TEST in tables:
            statistics_of(tables[TEST], log=scaling == "log")
    found = Measurements(shape=values.shape[1:], scaling=measured)
    if conditions is None:
        return found
    vector, classes = vector_scaling(conditions, chosen), classes_of(conditions)
    return dataclasses.replace(found, vector=vector, classes=classes)


class ArrayRows:
    """Some examples of an array, in model coordinates, indexed by arrays of their numbers.

    Args:
      values: all examples.
      numbers: the numbers of those in the split.
      scaling: their scaling; images stay as they are.
    """

    def __init__(
        self, values: np.ndarray, numbers: np.ndarray, scaling: ChannelScaling | ImageScaling
    ) -> None:
        self.values, self.numbers, self.scaling = values, numbers, scaling

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        values = np.asarray(self.values[self.numbers[indices]])
        if isinstance(self.scaling, ImageScaling):
            return values
        return self.scaling.to_model(values)


def is_images(values: np.ndarray) -> bool:
    """Says whether an array holds 8-bit images of 1 or 3 channels."""
    return values.dtype == np.uint8 and values.ndim == 4 and values.shape[-1] in (1, 3)
