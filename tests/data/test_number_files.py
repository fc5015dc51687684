"""Files of numbers: what is read, and what is refused in one line."""

import importlib

import numpy as np
import pytest

from sde_jax.data import read_table
from sde_jax.data.errors import DataNotFoundError

h5py = pytest.importorskip("h5py")
pyarrow = pytest.importorskip("pyarrow")

VALUES = np.random.default_rng(0).normal(size=(30, 3))


def written(folder, name, content=VALUES):
    """A file of numbers in the format of its name."""
    path = folder / name
    if isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(content), path)
    else:
        with h5py.File(path, "w") as file:
            for key, values in content.items():
                options = {"chunks": (4, 3), "compression": "gzip"} if "packed" in key else {}
                file.create_dataset(key, data=values, **options)
    return path


COLUMNS = {"a": VALUES[:, 0], "b": np.arange(30), "c": VALUES[:, 2]}


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("x.npy", VALUES, {}),
        ("x.npy", np.asfortranarray(VALUES), {}),
        ("x.npz", {"only": VALUES}, {}),
        ("x.npz", {"x": VALUES, "y": VALUES[:, 0]}, {"array": "x"}),
        ("x.h5", {"only": VALUES}, {}),
        ("x.hdf5", {"group/x": VALUES, "group/y": VALUES[:2]}, {"array": "group/x"}),
        ("x.h5", {"packed": VALUES}, {}),
        ("x.parquet", dict(zip("abc", VALUES.T, strict=True)), {}),
    ],
)
def test_numbers_are_read_as_they_were_written(tmp_path, name, content, options):
    table = read_table(written(tmp_path, name, content), **options)
    np.testing.assert_array_equal(table.values, VALUES)
    assert not any(table.integers)


@pytest.mark.parametrize(("name", "content"), [("x.npy", VALUES), ("x.h5", {"x": VALUES})])
def test_large_files_are_mapped_into_memory(tmp_path, name, content):
    assert isinstance(read_table(written(tmp_path, name, content)).values, np.memmap)


def test_columns_have_names_and_types(tmp_path):
    table = read_table(written(tmp_path, "x.parquet", COLUMNS), columns=("c", "b"))
    assert (table.names, table.integers) == (("c", "b"), (False, True))
    np.testing.assert_array_equal(table.values, np.stack([VALUES[:, 2], np.arange(30)], axis=1))
    table = read_table(written(tmp_path, "x.csv", "a,b\n1,2.5\n3,4.5\n"))
    assert (table.names, table.integers) == (("a", "b"), (True, False))
    np.testing.assert_array_equal(table.values, [[1, 2.5], [3, 4.5]])
    assert table.place((1, 1)) == "in row 1, column b"
    table = read_table(written(tmp_path, "x.npy", VALUES), columns=("2", "0"))
    np.testing.assert_array_equal(table.values, VALUES[:, [2, 0]])


@pytest.mark.parametrize(("name", "mark"), [("x.csv", ","), ("x.tsv", "\t")])
def test_a_first_line_of_numbers_is_no_head(tmp_path, name, mark):
    table = read_table(written(tmp_path, name, f"1{mark}2.5\n-3{mark}1e3\n"))
    np.testing.assert_array_equal(table.values, [[1, 2.5], [-3, 1000]])


def test_empty_cells_are_missing_values(tmp_path):
    table = read_table(written(tmp_path, "x.csv", "a,b\n1,2.5\n,4.5\n"))
    np.testing.assert_array_equal(table.values, [[1, 2.5], [np.nan, 4.5]])


@pytest.mark.parametrize(
    ("name", "content", "options", "complaint"),
    [
        ("x.npz", {"b": VALUES, "a": VALUES}, {}, "holds 2 arrays: `array` must be one of b, a"),
        ("x.npz", {"b": VALUES}, {"array": "c"}, "has no array 'c': it has b"),
        ("x.h5", {"g/x": VALUES, "y": VALUES}, {}, "holds 2 arrays: `array` must be one of g/x, y"),
        ("x.npy", VALUES, {"array": "x"}, "`array` does not apply to .*x.npy, which has one"),
        ("x.npy", VALUES, {"columns": ("3",)}, "has no column '3': it has 0, 1, 2"),
        (
            "x.npy",
            VALUES[:, 0],
            {},
            r"the shape \[examples, ..., channels\]: it has \[30\]",
        ),
        ("x.npy", VALUES + 1j, {}, "must hold real numbers: it holds complex128"),
        ("x.npy", np.array(["a", "b"])[:, None], {}, "must hold real numbers: it holds <U1"),
        (
            "x.npy",
            np.array([{}, 1], object),
            {},
            r"header says object \(2,\), which is no array",
        ),
        ("x.npy", "nothing", {}, "cannot be read: it is neither an .npy nor an .npz file"),
        ("x.h5", "nothing", {}, "x.h5 cannot be read: "),
        ("x.parquet", "nothing", {}, "x.parquet cannot be read: "),
        ("x.csv", "a,b\n1\n", {}, "x.csv cannot be read: .*Expected 2 columns, got 1"),
        ("x.csv", "a,a\n1,2\n", {}, "has several columns 'a': rename one"),
        ("x.csv", "a,b\n1,2\n", {"columns": ("b", "b")}, "must be different columns of"),
        ("x.csv", "a,b\n1,2\n", {"columns": ("q",)}, "has no column 'q': it has a, b"),
        ("x.csv", "a,b\n1,2\n", {"array": "q"}, "`array` does not apply to .*, which has columns"),
        (
            "x.csv",
            "size,name,when\n1,,2020-01-01\n2,bob,2020-01-02\n",
            {},
            r"2 of 3 columns do not, the first, 'name', holds string \('' in row 0\). "
            "`columns` chooses others: size",
        ),
        (
            "x.parquet",
            {"a": [1.0, 2.0], "n": [None, "bob"]},
            {"columns": ("n",)},
            r"1 of 1 columns does not, the first, 'n', holds string \('bob' in row 1\)$",
        ),
        ("x.xls", "nothing", {}, "must end in one of .npy, .npz, .*: its format is unknown"),
    ],
)
def test_what_holds_no_numbers_is_one_line(tmp_path, name, content, options, complaint):
    path = written(tmp_path, name, content)
    with pytest.raises(ValueError, match=complaint) as raised:
        read_table(path, **options)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataNotFoundError, match="x.csv is no file"):
        read_table(tmp_path / "x.csv")


@pytest.mark.parametrize(("name", "package"), [("x.h5", "h5py"), ("x.csv", "pyarrow")])
def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch, name, package):
    usual = importlib.import_module

    def without(wanted):
        if wanted == package:
            raise ImportError
        return usual(wanted)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ValueError, match=f"is read by {package}: `pip install {package}`"):
        read_table(written(tmp_path, name, {"x": VALUES} if name == "x.h5" else "a\n1\n"))
