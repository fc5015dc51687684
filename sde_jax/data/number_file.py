"""Numbers in files, with the conditions of the examples."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from sde_jax.data.array_data import ArrayData
from sde_jax.data.conditions import Conditions
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.tables import WITH_ARRAYS, WITH_NAMES, Table, read_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberFile(ArrayData):
    """Numbers in a .npy, .npz, HDF5, CSV or Parquet file: see `ArrayData`.

    Each example has a condition if `condition_path`, `condition_array` or `condition_columns` is
    stated.
    """

    path: str = ""
    """The file. A contiguous array of a .npy or HDF5 file is mapped into memory."""
    array: str | None = None
    """The array of a .npz or HDF5 file, needed where there are several."""
    columns: tuple[str, ...] | None = None
    """Columns of a CSV or Parquet file, by name; of other files, by number. By default all but
    those of the condition."""
    test_path: str | None = None
    """A file of the held-out examples, of the same form."""
    condition_path: str | None = None
    """A file of conditions, a row for each example. By default they are in the file of the
    examples."""
    condition_array: str | None = None
    """The array of the conditions, of a .npz or HDF5 file."""
    condition_columns: tuple[str, ...] | None = None
    """Columns of the conditions, by name or number as `columns`. By default all."""
    condition_labels: bool = False
    """The conditions are one column of class labels, integers from 0."""
    sha256: str | None = None
    """SHA-256 of the arrays, by which `fit` knows its own data; None elsewhere."""

    @property
    def has_conditions(self) -> bool:
        """Says whether a field names conditions."""
        named = (self.condition_path, self.condition_array, self.condition_columns)
        return any(name is not None for name in named)

    @property
    def files(self) -> Mapping[str, str]:
        """The file of each split that has one."""
        return {TRAIN: self.path} | ({} if self.test_path is None else {TEST: self.test_path})

    def tables(self) -> Mapping[str, Table]:
        """Opens the file, and that of the held-out examples."""
        if not self.path:
            raise DataNotFoundError("`path` must be stated: the file with the numbers")
        left_out = self.condition_columns or () if self._in_one_array else ()
        twice = [name for name in left_out if name in (self.columns or ())]
        if twice:
            raise ValueError(
                f"`columns` and `condition_columns` must differ: both have {', '.join(twice)}"
            )
        return {
            split: read_table(file, self.array, self.columns, left_out=left_out)
            for split, file in self.files.items()
        }

    def conditions(self) -> Conditions | None:
        """Opens the conditions; None without any."""
        if not self.has_conditions:
            if self.condition_labels:
                raise ValueError(
                    "`condition_labels` has no effect without `condition_path`, `condition_array` "
                    "or `condition_columns`"
                )
            return None
        files = self.files
        if self.condition_path is not None:
            files = {TRAIN: self.condition_path}
            if self.test_path is not None:
                raise ValueError(
                    "`condition_path` must be None with a `test_path`: keep the conditions in the "
                    "two files themselves, as `condition_array` or `condition_columns`"
                )
        array = self.array if self._in_one_array else self.condition_array
        return Conditions(
            {
                split: read_table(file, array, self.condition_columns)
                for split, file in files.items()
            },
            self.condition_labels,
        )

    def read_conditions(self, path: str | Path) -> Table:
        """Reads conditions from another file: the same array and named columns, or all of it.

        Raises:
          DataNotFoundError, ValueError: as `read_table`.
        """
        own, suffix = Path(self.condition_path or self.path), Path(path).suffix.lower()
        named = {own.suffix.lower(), suffix} <= WITH_NAMES
        array = self.condition_array if suffix in WITH_ARRAYS else None
        return read_table(path, array, self.condition_columns if named else None)

    @property
    def _in_one_array(self) -> bool:
        """Says whether examples and conditions are columns of one array."""
        return self.condition_path is None and self.condition_array is None

    def fingerprint(self, split: str) -> str:
        """Returns a digest of the files' sizes and times and of what is read from them."""
        files = [file for file in (self.path, self.test_path, self.condition_path) if file]
        stamps = [(Path(f).stat().st_size, Path(f).stat().st_mtime_ns) for f in files]
        read = (self.array, self.columns, self.condition_array, self.condition_columns)
        known = repr((stamps, *read, self.condition_labels, self.held_out, self.measured))
        return hashlib.sha256(known.encode()).hexdigest()

    def in_run(self, folder: Path) -> Self:
        """Returns the spec of the files of these names in ``folder``, as far as they are there.

        A run that holds its data thereby finds them after it was moved.
        """
        own: dict[str, Any] = {
            name: str(file)
            for name in ("path", "condition_path")
            if (stored := getattr(self, name))
            and (file := folder.resolve() / Path(stored).name).is_file()
        }
        return dataclasses.replace(self, **own)
