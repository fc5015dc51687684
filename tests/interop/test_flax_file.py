"""Files of old Flax: arrays in pieces, damage, and files of something else."""

import pickle

import numpy as np
import pytest
from flax import serialization

from sde_jax.interop.checkpoint import read_flax_file
from sde_jax.interop.errors import CheckpointFileError


def test_nested_dicts_of_arrays(tmp_path):
    content = {"step": 3, "params": {"Conv_0": {"kernel": np.arange(6.0).reshape(2, 3)}}, "lr": 0.5}
    (tmp_path / "checkpoint_1").write_bytes(serialization.msgpack_serialize(content))
    found = read_flax_file(tmp_path / "checkpoint_1")
    np.testing.assert_array_equal(
        found["params"]["Conv_0"].pop("kernel"), np.arange(6.0).reshape(2, 3)
    )
    assert found == {"step": 3, "params": {"Conv_0": {}}, "lr": 0.5}


def test_arrays_in_pieces(tmp_path):
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 3, "1": 2},
        "chunks": {str(i): np.asarray([2 * i, 2 * i + 1]) for i in range(3)},
    }
    data = serialization.msgpack_serialize({"a": {"b": pieces}})
    (tmp_path / "checkpoint_1").write_bytes(data)
    found = read_flax_file(tmp_path / "checkpoint_1")
    np.testing.assert_array_equal(found["a"]["b"], [[0, 1], [2, 3], [4, 5]])


WHOLE = serialization.msgpack_serialize({"a": {"b": np.zeros(9)}})


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"text",
            WHOLE[:-1],
            WHOLE[:20],
            WHOLE + b"x",
            WHOLE.replace(b"float64", b"object9"),
        ),
        *(pickle.dumps({"a": 1}), serialization.msgpack_serialize([1, 2])),
        *(b"\x81" * 5000, WHOLE.replace(b"\x91\x09", b"\x91\x08")),
    ],
    ids=["empty", "text", "cut", "cut early", "longer", "type", "pickle", "list", "deep", "shape"],
)
def test_other_files(tmp_path, content):
    (tmp_path / "checkpoint_1").write_bytes(content)
    with pytest.raises(CheckpointFileError, match="checkpoint_1: it is no msgpack file of Flax"):
        read_flax_file(tmp_path / "checkpoint_1")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_flax_file(tmp_path / "checkpoint_1")
