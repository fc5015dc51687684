"""Arrays of any numbers as data: their splits, their scaling, and their place in memory."""

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np

from sde_jax.data.channel_scaling import ChannelScaling
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.measuring import ScalingName, scaling_of, statistics_of
from sde_jax.data.rows import DeviceRows, HostRows, Rows
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.storage import device_share
from sde_jax.data.tables import Table, read_table
from sde_jax.data.transform import Dequantize, DequantizeAndFlip, Transform
from sde_jax.memory import check_fits
from sde_jax.validation import Rule, Spec

THREADS = 2
SHARE = Rule("lie between 0 and 1", lambda share: 0 < share < 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurements:
    """All that is known of data without reading them."""

    shape: tuple[int, ...]
    """Shape of an example."""
    scaling: ChannelScaling | ImageScaling
    """The scaling, measured on the training split."""


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
    keep: Literal["auto", "device", "file"] = "auto"
    """device: in its memory as float32; file: read for each batch. auto: on the device where they
    take at most a quarter of its memory (2 GiB on CPU). The batches are the same, bitwise."""
    measured: Measurements | None = None
    """Shape and scaling, measured when a run starts and stored in its configuration."""

    @abc.abstractmethod
    def tables(self) -> Mapping[str, Table]:
        """Opens the numbers, as ``train`` and, if they are held out already, ``test``."""

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
        return source_of_tables(self._tables, measured, held_out=self.held_out, keep=self.keep)

    @functools.cached_property
    def _measurements(self) -> Measurements:
        return measurements_of(self._tables, self.scaling, self.held_out)

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
    *,
    held_out: float,
    keep: Literal["auto", "device", "file"] = "auto",
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
    rows = {
        split: ArrayRows(tables.get(split, table).values, numbers, scaling)
        for split, numbers in numbers_of(tables, held_out).items()
    }
    return DataSource(
        {split: placed(of_split, keep) for split, of_split in rows.items()},
        transform,
        shape=shape,
        scaling=scaling,
    )


def placed(rows: "ArrayRows", keep: Literal["auto", "device", "file"]) -> Rows:
    """Returns the rows on the device, or read from the file for each batch."""
    size = len(rows) * rows[np.arange(1)].nbytes
    if keep == "file" or (keep == "auto" and size > device_share()):
        return HostRows(images=rows, threads=THREADS)
    check_fits(size, "data with `keep`=device")
    return DeviceRows(rows[np.arange(len(rows))], None)


def numbers_of(tables: Mapping[str, Table], held_out: float) -> dict[str, np.ndarray]:
    """Returns the numbers of the examples of each split, in its table or in the only one."""
    if TEST in tables:
        return {split: np.arange(len(table.values)) for split, table in tables.items()}
    count = len(tables[TRAIN].values)
    order = np.random.default_rng(0).permutation(count)
    left_out = min(max(round(held_out * count), 1), count - 1)
    return {TRAIN: order[left_out:], TEST: order[:left_out]}


def measurements_of(
    tables: Mapping[str, Table], scaling: ScalingName, held_out: float
) -> Measurements:
    """Checks the tables, and measures the training split.

    Raises:
      ValueError: if they cannot be trained on.
    """
    values = tables[TRAIN].values
    if is_images(values):
        return Measurements(shape=values.shape[1:], scaling=ImageScaling())
    chosen = np.zeros(len(values), bool)
    chosen[numbers_of(tables, held_out)[TRAIN]] = True
    measured = scaling_of(tables[TRAIN], scaling, chosen)
    if TEST in tables:
        statistics_of(tables[TEST], log=scaling == "log")
    return Measurements(shape=values.shape[1:], scaling=measured)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberFile(ArrayData):
    """Numbers in a .npy, .npz, HDF5, CSV or Parquet file: see `ArrayData`."""

    path: str = ""
    """The file. A contiguous array of a .npy or HDF5 file is mapped into memory."""
    array: str | None = None
    """The array of a .npz or HDF5 file, needed where there are several."""
    columns: tuple[str, ...] | None = None
    """Columns of a CSV or Parquet file, by name; of other files, by number. By default all."""
    test_path: str | None = None
    """A file of the held-out examples, of the same form."""

    def tables(self) -> Mapping[str, Table]:
        """Opens the file, and that of the held-out examples."""
        if not self.path:
            raise DataNotFoundError("`path` must be stated: the file with the numbers")
        files = {TRAIN: self.path} | ({} if self.test_path is None else {TEST: self.test_path})
        return {split: read_table(file, self.array, self.columns) for split, file in files.items()}

    def fingerprint(self, split: str) -> str:
        """Returns a digest of the files' sizes and times and of what is read from them."""
        files = [file for file in (self.path, self.test_path) if file]
        stamps = [(Path(f).stat().st_size, Path(f).stat().st_mtime_ns) for f in files]
        known = repr((stamps, self.array, self.columns, self.held_out, self.measured))
        return hashlib.sha256(known.encode()).hexdigest()

    def in_run(self, folder: Path) -> Self:
        """Returns the spec of the file of this name in ``folder``, if there is one.

        A run that holds its data thereby finds them after it was moved.
        """
        own = folder.resolve() / Path(self.path).name
        return dataclasses.replace(self, path=str(own)) if own.is_file() else self


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
