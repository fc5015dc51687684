"""Files of `torch.save`: one that PyTorch wrote, ours, damaged ones and hostile ones."""

import collections
import copyreg
import io
import os
import pathlib
import pickle
import random
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.torch_file import read_torch_file, write_torch_file

SAVED = pathlib.Path(__file__).parents[1] / "data" / "interop" / "torch_saved.pth"
"""Written by PyTorch 2.15 from the values that `test_reads_what_pytorch_wrote` expects."""

TYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")


def assert_same(actual, expected):
    """Equal values of equal types, in equal order."""
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key, value in expected.items():
            assert_same(actual[key], value)
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected, strict=True):
            assert_same(*pair)
    elif isinstance(expected, np.ndarray):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected, strict=True)
    else:
        assert actual == expected


def values():
    """What `SAVED` holds."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    weight = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    bias = np.array([0.5, -0.5], np.float32)
    return {
        "state_dict": collections.OrderedDict({"0.weight": weight, "0.bias": bias}),
        "transposed": base.T,
        "strided": base[1:3, ::2],
        "types": {name: np.array([1, 0, 1], jnp.dtype(name)) for name in (*TYPES, "bool")},
        "scalar": np.array(-7.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "numpy": [np.float64(0.25), np.float32(-1.5), np.int64(3), np.bool_(True)],
        "plain": [1, -2.5, "x", None, True, (1, (2,)), 2**70, b"\xff"],
        "ordered": collections.OrderedDict(b=1, a=2),
    }


def test_reads_what_pytorch_wrote():
    assert_same(read_torch_file(SAVED), values())


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read_torch_file(SAVED)["scalar"][()] = 1


def test_reads_what_it_writes(tmp_path):
    written = values()
    written["plain"].remove(b"\xff")
    write_torch_file(tmp_path / "a.pth", written)
    written["numpy"] = [0.25, -1.5, 3, True]
    assert_same(read_torch_file(tmp_path / "a.pth"), written)


class Recorder(pickle.Unpickler):
    """Records calls instead of making them; a call stands for None."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.calls = []

    def find_class(self, module, name):
        return lambda *arguments: self.calls.append((f"{module}.{name}", arguments))

    def persistent_load(self, identity):
        kind, storage, *rest = identity
        storage()
        return (kind, *rest)


def test_writes_what_pytorch_would_call(tmp_path):
    write_torch_file(tmp_path / "new.pth", {"x": np.zeros((2, 3), np.float32)})
    with zipfile.ZipFile(tmp_path / "new.pth") as archive:
        names = [name.removeprefix("new/") for name in archive.namelist()]
        contents = {name: archive.read(f"new/{name}") for name in names}
    assert names == ["data.pkl", "byteorder", "data/0", "version"]
    assert contents["byteorder"] == b"little"
    assert contents["version"] == b"3\n"
    assert contents["data/0"] == bytes(24)
    recorder = Recorder(contents["data.pkl"])
    assert recorder.load() == {"x": None}
    storage = ("storage", "0", "cpu", 6)
    assert recorder.calls == [
        ("torch.FloatStorage", ()),
        ("collections.OrderedDict", ()),
        ("torch._utils._rebuild_tensor_v2", (storage, 0, (2, 3), (3, 1), False, None)),
    ]


def test_same_values_same_bytes(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        write_torch_file(tmp_path / folder / "x.pth", {"x": np.arange(3)})
    first, second = (tmp_path / folder / "x.pth" for folder in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("value", [{1, 2}, 1j, np.zeros(2, np.complex64), np.zeros(2, np.uint16)])
def test_refuses_to_write_what_pytorch_cannot_read(tmp_path, value):
    with pytest.raises(TypeError, match="cannot write a"):
        write_torch_file(tmp_path / "a.pth", [value])


def archive_of(path, pickled, storages=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", pickled)
        for key, data in enumerate(storages):
            archive.writestr(f"a/data/{key}", data)
    return path


class Command:
    """Pickles to a call of ``function``, which a common unpickler would make."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, os.mkdir, eval])
def test_a_command_is_refused_and_not_run(tmp_path, function, protocol):
    proof = tmp_path / "it ran"
    argument = {
        os.system: f"mkdir '{proof}'",
        os.mkdir: str(proof),
        eval: f"__import__('os').mkdir({str(proof)!r})",
    }[function]
    pickled = pickle.dumps({"model": Command(function, argument)}, protocol)
    name = function.__name__ if protocol >= 2 else ""
    with pytest.raises(CheckpointFileError, match=f"{name}.*refused"):
        read_torch_file(archive_of(tmp_path / "a.pth", pickled))
    assert not proof.exists()
    pickle.loads(pickled)
    assert proof.is_dir()


ORDERED = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "program, refusal",
    [
        (ORDERED + b")\x81", "NEWOBJ"),
        (ORDERED + b")}\x92", "NEWOBJ_EX"),
        (ORDERED + b"}(Vx\nK\1ub", "UNICODE"),
        (ORDERED + b"}(X\1\0\0\0xK\1ub", "sets attributes of a function"),
        (b"}}b", "sets attributes of a dict"),
        (REBUILD + b"N}X\x0c\0\0\0__defaults__)s\x86b", "sets attributes of a function"),
        (b"cnumpy\ndtype\nX\2\0\0\0f8\x85R(K\3X\1\0\0\0>NNNJ\xff\xff\xff\xfftb", "of a .*DType"),
        (b"cnumpy\ndtype\n)\x81", "NEWOBJ"),
        (b"(ios\nsystem\n", "INST"),
        (b"(X\1\0\0\0xo", "OBJ"),
        (b"\x82\1", "EXT1"),
        (b"\x83\1\0", "EXT2"),
        (b"\x84\1\0\0\0", "EXT4"),
        (b"P0\n", "PERSID"),
        (b"\x96" + b"\xff" * 7 + b"\x7f", "BYTEARRAY8"),
        (b"\x97", "NEXT_BUFFER"),
        (b"Nr\xff\xff\xff\xff0", "POP"),
        (b"]2", "DUP"),
        (b"X\1\0\0\0x)R", "calls a str"),
        (b"ctorch\nFloatStorage\n)R", "calls a Float32DType"),
        (b"ctorch.storage\n_load_from_bytes\n)R", "torch.storage._load_from_bytes"),
        (b"ctorch._utils\n_rebuild_qtensor\n)R", "torch._utils._rebuild_qtensor"),
        (b"ctorch._utils\n_rebuild_parameter\n(K\1\x88NtR", "a parameter without a tensor"),
        (b"cnumpy\ndtype\nX\2\0\0\0O8\x85R", "not a number"),
        (b"cnumpy._core.multiarray\nscalar\nX\2\0\0\0f8X\1\0\0\0x\x86R", "not a number"),
        (b"c_codecs\nencode\nX\1\0\0\0xX\5\0\0\0utf-7\x86R", "encodes something else"),
        (b"X\1\0\0\0xQ", "something else than a storage"),
        (b"}K\1\x85K\1s", "a tuple as a key"),
        (b"]]]]](eee", "damaged"),
        (b"e", "damaged"),
        (b"h\7", "damaged"),
        (b"NN", "leaves more than one value"),
        (b"]K\1K\2s", "SETITEM to a list"),
        (b"}K\1a", "damaged: AttributeError: 'dict'"),
        (ORDERED + b"K\1\x85R", "damaged"),
        (REBUILD + b"(NK\0))\x89Nt" + b"R", "without a storage"),
        (b"\x8c\4eval\x93", "damaged"),
        (b"K\1\x8c\4eval\x93", "damaged: .* requires str"),
        (b"\x8c\3o\ns\x8c\6system\x93", r"'o\\ns.system', which is refused"),
        (b"X\xff\xff\xff\x7fab", "damaged"),
    ],
)
def test_refuses_instructions(tmp_path, program, refusal):
    path = archive_of(tmp_path / "a.pth", b"\x80\4" + program + b".")
    with pytest.raises(CheckpointFileError, match=refusal):
        read_torch_file(path)


def piece(value):
    """The instructions that put a plain value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(size=(2, 2), stride=(3, 2), offset=1, count=6, key="0"):
    """A pickle of a tensor with a storage of ``count`` numbers."""
    storage = b"(" + piece("storage") + b"ctorch\nFloatStorage\n" + piece(key) + piece("cpu")
    arguments = piece(offset) + piece(size) + piece(stride) + b"\x89N"
    return b"\x80\2" + REBUILD + b"(" + storage + piece(count) + b"tQ" + arguments + b"tR."


@pytest.mark.parametrize("ending", [b"\x88NtR.", b"\x88N}tR."], ids=["plain", "with state"])
def test_a_parameter_is_its_tensor(tmp_path, ending):
    name = b"_rebuild_parameter" + b"_with_state" * (b"}" in ending)
    program = b"ctorch._utils\n" + name + b"\n(" + tensor(size=(6,), stride=(1,), offset=0)[2:-1]
    path = archive_of(tmp_path / "a.pth", b"\x80\2" + program + ending, [SIX])
    np.testing.assert_array_equal(read_torch_file(path), np.arange(6))


def test_refuses_registered_extensions(tmp_path, monkeypatch):
    """Even one that the unpickler of Python has resolved before, and no longer looks up."""
    monkeypatch.setitem(copyreg._inverted_registry, 1, ("os", "system"))
    monkeypatch.setitem(copyreg._extension_cache, 1, os.system)
    path = archive_of(tmp_path / "a.pth", b"\x80\2\x82\1X\4\0\0\0true\x85R.")
    with pytest.raises(CheckpointFileError, match="EXT1"):
        read_torch_file(path)


def test_refuses_attributes_of_tensors(tmp_path):
    path = archive_of(tmp_path / "a.pth", tensor(size=(2,), stride=(1,))[:-1] + b"}b.", [SIX])
    with pytest.raises(CheckpointFileError, match="sets attributes of a ndarray"):
        read_torch_file(path)


def test_attributes_of_ordered_dicts_are_dropped(tmp_path):
    program = b"ccollections\nOrderedDict\n)R}X\4\0\0\0keysK\1sb."
    content = read_torch_file(archive_of(tmp_path / "a.pth", b"\x80\2" + program))
    assert content == {} and list(content.keys()) == []


def test_deep_nesting_is_read(tmp_path):
    path = archive_of(tmp_path / "a.pth", b"\x80\2)" + b"\x85" * 10**5 + b".")
    content = read_torch_file(path)
    for _ in range(10**5):
        (content,) = content
    assert content == ()


SIX = np.arange(6, dtype=np.float32).tobytes()


def test_crafted_tensor(tmp_path):
    path = archive_of(tmp_path / "a.pth", tensor(), [SIX + SIX])
    with pytest.raises(CheckpointFileError, match="data/0 has 48 bytes, not 6 float32"):
        read_torch_file(path)
    path = archive_of(tmp_path / "a.pth", tensor(count=12), [SIX + SIX])
    np.testing.assert_array_equal(read_torch_file(path), [[1, 3], [4, 0]])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({}, "needs more than the 6 values"),
        ({"offset": 2, "stride": (2, 2)}, "needs more than the 6 values"),
        ({"size": (7,), "stride": (1,)}, "needs more than the 6 values"),
        ({"size": (2**40,), "stride": (0,), "offset": 0}, "needs more than the 6 values"),
        ({"size": (2, 2, 1)}, "3 sizes and 2 strides"),
        ({"size": (1,) * 65, "stride": (1,) * 65}, "65 sizes"),
        ({"offset": -1}, "size is not one"),
        ({"size": (2, -2)}, "size is not one"),
        ({"stride": (-3, 2)}, "size is not one"),
        ({"stride": (2.0, 1)}, "size is not one"),
        ({"size": (2**64, 1)}, "size is not one"),
        ({"size": 4}, "damaged"),
        ({"count": 7}, "24 bytes, not 7 float32"),
        ({"count": -6}, "size is not one"),
        ({"key": "1"}, "lacks data/1"),
        ({"key": "../data.pkl"}, "lacks data/../data.pkl"),
        ({"key": 0}, "something else than a storage"),
    ],
)
def test_refuses_tensors_beyond_their_storage(tmp_path, wrong, message):
    path = archive_of(tmp_path / "a.pth", tensor(**wrong), [SIX])
    with pytest.raises(CheckpointFileError, match=message):
        read_torch_file(path)


def test_refuses_archives_that_unfold(tmp_path):
    path = archive_of(tmp_path / "a.pth", piece({}), [bytes(10**6)], zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointFileError, match="is compressed"):
        read_torch_file(path)


def test_refuses_entries_that_share_their_bytes(tmp_path):
    path = archive_of(tmp_path / "a.pth", piece({}), [bytes(10**4)])
    with zipfile.ZipFile(path, "a") as archive:
        for key in range(1, 4):
            copy = zipfile.ZipInfo(f"a/data/{key}")
            original = archive.getinfo("a/data/0")
            copy.CRC, copy.header_offset = original.CRC, original.header_offset
            copy.file_size = copy.compress_size = original.file_size
            archive.filelist.append(copy)
            archive._didModify = True
    with pytest.raises(CheckpointFileError, match="larger than itself"):
        read_torch_file(path)


def test_refuses_long_pickles(tmp_path):
    path = archive_of(tmp_path / "a.pth", b"\x80\2" + b"]" * 2**23)
    with pytest.raises(CheckpointFileError, match="pickle is larger than 8388608 bytes"):
        read_torch_file(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "no file of `torch.save`"),
        (b"some text", "no file of `torch.save`"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "PyTorch before 1.6.*converts it"),
        (b"x".ljust(257, b"\0") + b"ustar", "PyTorch before 1.6.*converts it"),
        (SAVED.read_bytes()[:3000], "damaged"),
        (SAVED.read_bytes().replace(b"PK\1\2", b"PK\0\0", 1), "damaged"),
    ],
    ids=["empty", "text", "pickle", "tar", "truncated", "directory"],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointFileError, match=message) as error:
        read_torch_file(tmp_path / "a.pth")
    assert str(tmp_path / "a.pth") in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "a.pth")


@pytest.mark.parametrize("names", [["x"], ["a/data.pkl", "b/data.pkl"]])
def test_archives_of_something_else(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, piece({}))
    with pytest.raises(CheckpointFileError, match="files data.pkl"):
        read_torch_file(tmp_path / "a.zip")


def test_big_endian_numbers(tmp_path):
    path = archive_of(tmp_path / "a.pth", piece({}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/byteorder", b"big")
    with pytest.raises(CheckpointFileError, match="big-endian"):
        read_torch_file(path)


def test_damage_anywhere_is_one_error(tmp_path):
    """Whatever bytes change, in the archive or in the pickle alone, there is no other error."""
    chance, whole = random.Random(0), SAVED.read_bytes()
    with zipfile.ZipFile(SAVED) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    path, errors = tmp_path / "a.pth", 0
    for attempt in range(600):
        name = chance.choice([None, "torch_saved/data.pkl"])
        damaged = bytearray(whole if name is None else contents[name])
        for _ in range(chance.choice([1, 3])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if name is None:
            path.write_bytes(damaged[: -attempt % 50 * 100 or None])
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for other, content in contents.items():
                    archive.writestr(other, damaged if other == name else content)
        try:
            read_torch_file(path)
        except CheckpointFileError:
            errors += 1
    assert errors > 500
