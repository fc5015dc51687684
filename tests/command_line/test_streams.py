"""Standard streams: a lost reader, a full disk, a closed stream, and any character."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from sde_jax.command_line import main as command
from sde_jax.command_line.streams import ReaderGoneError, Stream, standard_streams


@contextlib.contextmanager
def stream_to(number, *, lenient=False, encoding="utf-8"):
    """A stream to a file descriptor, which is closed."""
    with open(number, "w", encoding=encoding) as wrapped:
        stream = Stream(wrapped, lenient=lenient)
        yield stream
        stream.detach()


@pytest.fixture
def pipe():
    """The ends of a pipe: for reading, which is closed, and for writing."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as opened:
        yield opened, writer


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "br\\udce9ve é █"), ("ascii", "br\\udce9ve \\xe9 \\u2588")],
)
def test_what_the_encoding_lacks_is_escaped(pipe, encoding, expected):
    reader, writer = pipe
    with stream_to(writer, encoding=encoding) as stream:
        assert stream.write("br\udce9ve é █") == 9
    assert reader.read(100).decode() == expected


def test_a_lost_reader_is_told_apart(pipe):
    reader, writer = pipe
    reader.close()
    with stream_to(writer) as stream:
        stream.write("x")
        with pytest.raises(ReaderGoneError):
            stream.flush()
        stream.write("y")
        stream.flush()


def test_a_lenient_stream_outlives_its_reader(pipe):
    reader, writer = pipe
    reader.close()
    with stream_to(writer, lenient=True) as stream:
        for _ in range(3):
            stream.write("x" * 10**5)
            stream.flush()


def run_with(monkeypatch, work, **streams):
    """Runs a command with other standard streams, and returns its exit code."""
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    try:
        return command.run(lambda args: work(), [])
    except SystemExit as exit_:
        return exit_.code


def test_exit_codes_of_lost_output(monkeypatch, pipe):
    reader, writer = pipe
    reader.close()
    with open(writer, "w") as gone, open("/dev/full", "w") as full:
        assert run_with(monkeypatch, dict, stdout=gone) == 141
        said = io.StringIO()
        assert run_with(monkeypatch, dict, stdout=full, stderr=said) == 1
    assert said.getvalue() == "error: /dev/full: No space left on device.\n"


def test_closed_streams_are_nothing(monkeypatch):
    def work():
        print("x")
        print("y", file=sys.stderr)
        assert not sys.stdout.isatty()
        return {}

    assert run_with(monkeypatch, work, stdout=None, stderr=None) == 0
    assert sys.stdout is sys.stderr is None

    def refused():
        raise ValueError("no")

    assert run_with(monkeypatch, refused, stdout=None, stderr=None) == 2


def test_streams_come_back(monkeypatch):
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        with standard_streams():
            assert isinstance(sys.stdout, Stream)
            print("x")
        assert sys.stdout is nowhere
        print("y", flush=True)


@pytest.mark.slow("test_exit_codes_of_lost_output")
def test_a_reader_that_leaves_ends_a_command_quietly():
    process = subprocess.run(
        f"{sys.executable} -m sde_jax list | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert (process.stdout, process.stderr) == ("141\n", "")
