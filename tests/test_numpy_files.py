"""Tests of the reader of .npy and .npz files."""

import io

import numpy as np
import pytest
from malformed_arrays import arrays, saved, zipped

from sde_jax.numpy_files import Arrays, ArraysError

RNG = np.random.default_rng(0)
KINDS = {
    "rows": RNG.random((3, 4)).astype(np.float32),
    "columns": np.asfortranarray(RNG.random((2, 3, 5))),
    "big-endian": np.arange(7, dtype=">i4"),
    "text": np.array("héé"),
    "nothing": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "fields": np.zeros(2, [("a", "f4"), ("b", "i2")]),
}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_are_those_written(tmp_path, write):
    write(tmp_path / "x.npz", **KINDS)
    with Arrays(tmp_path / "x.npz") as file:
        assert list(file) == list(KINDS) and len(file) == len(KINDS)
        for name, array in KINDS.items():
            np.testing.assert_array_equal(file[name], array)
            assert file[name].dtype == array.dtype and file[name].flags.writeable
        with pytest.raises(KeyError):
            file["other"]


def test_the_content_tells_the_format(tmp_path):
    for name, array in KINDS.items():
        (tmp_path / "x.npz").write_bytes(saved(array))
        with Arrays(tmp_path / "x.npz") as file:
            np.testing.assert_array_equal(file[""], array, err_msg=name)
    (tmp_path / "x.npy").write_bytes(zipped(saved(KINDS["rows"])))
    with Arrays(tmp_path / "x.npy") as file:
        np.testing.assert_array_equal(file["samples"], KINDS["rows"])


def test_a_large_array_is_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("sde_jax.numpy_files.PIECE", 7)
    np.savez_compressed(tmp_path / "x.npz", **KINDS)
    with Arrays(tmp_path / "x.npz") as file:
        np.testing.assert_array_equal(file["columns"], KINDS["columns"])


def test_malformed_files_are_one_line(tmp_path):
    refused = set()
    for name, (content, complaint) in arrays().items():
        path = tmp_path / name
        path.write_bytes(content)
        try:
            with Arrays(path) as file:
                dict(file)
        except ArraysError as error:
            assert str(error).startswith(f"{path} cannot be read: ") and complaint in str(error)
            assert "\n" not in str(error) and len(str(error)) < 300
            refused.add(name)
    assert len(refused) == 20


def test_what_is_no_file_is_refused(tmp_path):
    for path in ("/dev/full", tmp_path):
        with pytest.raises(ArraysError, match="it is no file"):
            Arrays(path)
    with pytest.raises(FileNotFoundError):
        Arrays(tmp_path / "none")


def test_damage_anywhere_is_an_error_or_the_array(tmp_path):
    whole = io.BytesIO()
    np.savez_compressed(whole, x=KINDS["columns"])
    path = tmp_path / "x.npz"
    for place in range(len(whole.getvalue())):
        damaged = bytearray(whole.getvalue())
        damaged[place] ^= 1 << int(RNG.integers(8))
        path.write_bytes(damaged)
        try:
            with Arrays(path) as file:
                found = [file[name] for name in file]
        except ArraysError as error:
            assert "\n" not in str(error)
        else:
            assert all(np.array_equal(array, KINDS["columns"]) for array in found)
