"""Tests of the checks of paths before and while files are written."""

import os

import pytest
from in_process import refusal

from sde_jax.arguments import UsageError
from sde_jax.atomic import whole_file
from sde_jax.command_line.output import checked_output, writable


def test_a_check_leaves_no_trace_and_a_file_makes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "new" / "deep" / "a.npz", tmp_path / "b.npz"):
        assert checked_output(path, ".npz") == writable(path) == path
    assert list(tmp_path.iterdir()) == []
    with whole_file(tmp_path / "new" / "deep" / "a.npz") as file:
        file.write(b"mine")
    assert (tmp_path / "new" / "deep" / "a.npz").read_bytes() == b"mine"


def test_what_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="file/a.npz cannot be written: Not a directory"):
        writable(tmp_path / "file" / "a.npz")


READING = [
    "edit RUN --task stroke --input FILE",
    "edit RUN --task inpaint --demo --mask FILE",
    "label FILE --folder new --classifier RUN",
    "anomalies RUN --against FILE",
    "data show FILE",
    "data statistics FILE",
    "import FILE --model vp/cifar10_ddpmpp_continuous --workdir new",
    "weights inception --from FILE",
]


@pytest.mark.parametrize("command", READING)
def test_devices_and_pipes_are_refused_at_once(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for file in ("/dev/full", "pipe"):
        line = refusal(*command.replace("FILE", file).split())
        assert f"{file} is neither a file nor a folder." in line
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
