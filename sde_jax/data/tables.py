"""Arrays of numbers in files, with the names of their columns."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sde_jax.data.errors import DataNotFoundError
from sde_jax.lines import listed
from sde_jax.memory import check_fits
from sde_jax.numpy_files import Arrays, ArraysError


class Table(NamedTuple):
    """Numbers ``[count, *shape, channels]``, of a table ``[rows, columns]``."""

    values: np.ndarray
    """The numbers, mapped into memory where the file allows it."""
    integers: tuple[bool, ...]
    """Channels of whole numbers; empty for none."""
    where: str
    """The file, and the array in it, for messages."""
    names: tuple[str, ...] | None = None
    """Names of the columns, where they have any."""

    def place(self, index: Sequence[int]) -> str:
        """Returns the words for one number: its row and column, or its index."""
        row, *others = map(int, index)
        if self.values.ndim != 2:
            return f"at {[row, *others]}"
        column = others[0] if self.names is None else self.names[others[0]]
        return f"in row {row}, column {column}"


def read_table(
    path: str | Path,
    array: str | None = None,
    columns: Sequence[str] | None = None,
    *,
    left_out: Sequence[str] = (),
) -> Table:
    """Opens the numbers of a .npy, .npz, HDF5, CSV or Parquet file.

    Args:
      path: the file; its suffix states the format.
      array: the array of a .npz or HDF5 file, which is needed where there are several.
      columns: columns of a CSV or Parquet file, by name; of other files, by number. None: all.
      left_out: columns that are not among all.

    Raises:
      DataNotFoundError: if there is no such file.
      ValueError: if it has another format, the array or a column is not there or not of numbers, or
        a package is missing that reads it.
    """
    path = Path(path).expanduser()
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path} must end in one of {', '.join(READERS)}: its format is unknown")
    if not path.is_file():
        raise DataNotFoundError(f"{path} is no file")
    if reader is not _read_columns:
        where = str(path) if array is None else f"{array} of {path}"
        return table_of(reader(path, array), where, columns, left_out=left_out)
    if array is not None:
        raise ValueError(f"`array` does not apply to {path}, which has columns: got {array!r}")
    return _read_columns(path, columns, left_out)


def table_of(
    values: np.ndarray,
    where: str,
    columns: Sequence[str] | None = None,
    *,
    left_out: Sequence[str] = (),
) -> Table:
    """Returns an array, or some of its channels, as a table that messages call ``where``.

    Raises:
      ValueError: if it does not hold real numbers ``[examples, ..., channels]``.
    """
    if values.dtype == bool:
        values = values.view(np.uint8)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{where} must hold real numbers: it holds {values.dtype}")
    if values.ndim < 2:
        raise ValueError(
            f"{where} must have the shape [examples, ..., channels]: it has {list(values.shape)}. "
            "`array[:, None]` makes one column of a list of numbers"
        )
    if columns is None and left_out:
        columns = [str(n) for n in range(values.shape[-1]) if str(n) not in left_out]
    if columns is not None:
        known = {str(number): number for number in range(values.shape[-1])}
        values = _taken(values, [known[name] for name in _known(columns, known, where)])
    integers = (True,) * values.shape[-1] if values.dtype.kind in "iu" else ()
    return Table(values, integers, where, None if columns is None else tuple(columns))


def _taken(values: np.ndarray, channels: list[int]) -> np.ndarray:
    """Returns these channels; neighbours stay mapped into memory."""
    first, last = channels[0], channels[-1] + 1
    return values[..., first:last] if channels == [*range(first, last)] else values[..., channels]


def _read_npy(path: Path, array: str | None) -> np.ndarray:
    if array is not None:
        raise ValueError(f"`array` does not apply to {path}, which has one: got {array!r}")
    try:
        with Arrays(path) as arrays:
            return arrays.mapped()
    except ArraysError as error:
        raise ValueError(str(error)) from None


def _read_npz(path: Path, array: str | None) -> np.ndarray:
    try:
        with Arrays(path) as arrays:
            return arrays[_chosen(path, array, arrays)]
    except ArraysError as error:
        raise ValueError(str(error)) from None


def _read_hdf5(path: Path, array: str | None) -> np.ndarray:
    """Maps a contiguous data set into memory, and reads another one."""
    h5py = _imported("h5py", path)
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    with file:
        found: dict[str, Any] = {}
        file.visititems(found.__setitem__)
        sets = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}
        chosen = sets[_chosen(path, array, sets)]
        offset = None if chosen.chunks or chosen.dtype.hasobject else chosen.id.get_offset()
        if offset is not None and chosen.size:
            return np.memmap(path, chosen.dtype, "r", offset, chosen.shape)
        check_fits(chosen.size * chosen.dtype.itemsize, f"the numbers of {path}")
        return np.asarray(chosen[()])


def _chosen(path: Path, array: str | None, arrays: Mapping[str, Any]) -> str:
    """Returns the name of the array to read."""
    names = listed([*arrays], separator=", ") or "none"
    if array is None and len(arrays) == 1:
        return next(iter(arrays))
    if array is None:
        raise ValueError(f"{path} holds {len(arrays)} arrays: `array` must be one of {names}")
    if array not in arrays:
        raise ValueError(f"{path} has no array {array!r}: it has {names}")
    return array


def _read_columns(path: Path, columns: Sequence[str] | None, left_out: Sequence[str] = ()) -> Table:
    """Reads a CSV or Parquet file through pyarrow."""
    arrow = _imported("pyarrow", path)
    try:
        table = _read_csv(path) if path.suffix.lower() != ".parquet" else _read_parquet(path)
    except arrow.ArrowException as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    where, names = str(path), table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where} has several columns {twice[0]!r}: rename one")
    others = [name for name in names if name not in left_out]
    chosen = tuple(_known(others if columns is None else columns, names, where))
    table = table.select(list(chosen))
    _check_columns(table, where, asked=columns is not None)
    integers = tuple(arrow.types.is_integer(column.type) for column in table.columns)
    check_fits(8 * table.num_rows * len(chosen), f"the numbers of {where}")
    single = all(arrow.types.is_float32(column.type) for column in table.columns)
    kind = np.float32 if single else np.float64
    values = np.empty((table.num_rows, len(chosen)), kind)
    for place, column in enumerate(table.columns):
        values[:, place] = column.cast(arrow.float32() if single else arrow.float64(), safe=False)
    return Table(values, integers if any(integers) else (), where, chosen)


def _read_csv(path: Path) -> Any:
    """Reads a CSV file; a first line of numbers alone is no head."""
    csv = importlib.import_module("pyarrow.csv")
    with path.open(encoding="utf-8", errors="replace") as file:
        head = next(file, "")
    tabs = path.suffix.lower() == ".tsv"
    separator = "\t" if tabs else ","
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(autogenerate_column_names=_is_numbers(head, separator)),
        parse_options=csv.ParseOptions(delimiter=separator),
    )


def _is_numbers(line: str, separator: str) -> bool:
    try:
        return all(float(word) is not None for word in line.split(separator))
    except ValueError:
        return False


def _read_parquet(path: Path) -> Any:
    return importlib.import_module("pyarrow.parquet").read_table(path)


def _check_columns(table: Any, where: str, *, asked: bool) -> None:
    """Raises ValueError for columns that hold no numbers."""
    types = importlib.import_module("pyarrow.types")
    kinds: tuple[Callable[[Any], bool], ...] = (types.is_integer, types.is_floating)
    others = {
        name: column
        for name, column in zip(table.column_names, table.columns, strict=True)
        if not any(is_kind(column.type) for is_kind in kinds)
    }
    if not others:
        return
    name, column = next(iter(others.items()))
    first = next((row for row, value in enumerate(column) if value.is_valid), None)
    found = "no values"
    if first is not None:
        found = f"{column.type} ({column[first].as_py()!r} in row {first})"
    left = [other for other in table.column_names if other not in others]
    remedy = f". `columns` chooses others: {listed(left, separator=', ')}" if left else ""
    raise ValueError(
        f"{where} must hold numbers: {len(others)} of {len(table.columns)} columns "
        f"{'do' if len(others) > 1 else 'does'} not, the first, {name!r}, holds {found}"
        f"{'' if asked else remedy}"
    )


def _known(columns: Iterable[str], names: Iterable[str], where: str) -> list[str]:
    """Returns the columns, which must be among the names and differ."""
    columns, names = [*columns], [*names]
    for column in columns:
        if column not in names:
            known = listed(names, separator=", ")
            raise ValueError(f"{where} has no column {column!r}: it has {known}")
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"`columns` must be different columns of {where}: got {columns}")
    return columns


def _imported(package: str, path: Path) -> Any:
    """Imports a package of the extra ``tables``."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ValueError(f"{path} is read by {package}: `pip install {package}`") from None


READERS: Mapping[str, Callable[..., Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".csv": _read_columns,
    ".tsv": _read_columns,
    ".parquet": _read_columns,
}
"""Readers of files by their suffix."""
WITH_ARRAYS = {".npz", ".h5", ".hdf5"}
"""Files of several arrays."""
WITH_NAMES = {suffix for suffix, reader in READERS.items() if reader is _read_columns}
"""Files of named columns."""
