"""Exit codes and words of failures: those of the machine are told from those of the request."""

import errno

import jax
import pytest
from in_process import refusal, run_command
from tiny import untrained

from sde_jax.command_line.failures import exit_code, words_of
from sde_jax.interop import safetensors_file
from sde_jax.training.errors import CheckpointError, NonFiniteError, RunError, UnsavedError


def caused(error, cause, *, hidden=False):
    """An error that was raised because of another one."""
    try:
        try:
            raise cause
        except OSError:
            if hidden:
                raise error from None
            raise error from cause
    except Exception as caught:
        return caught


FULL = OSError(errno.ENOSPC, "No space left on device", "/out/x.npz")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("x"), 2),
        (RunError("x"), 2),
        (CheckpointError("x"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2),
        (FULL, 1),
        (caused(ValueError("x cannot be written"), FULL), 1),
        (caused(RunError("x cannot be written"), FULL, hidden=True), 1),
        (UnsavedError("x"), 1),
        (NonFiniteError("x"), 1),
        (MemoryError(), 1),
        (TypeError("x"), None),
        (RuntimeError("x"), None),
    ],
    ids=repr,
)
def test_exit_codes(error, code):
    assert exit_code(error) == code


def test_an_error_of_the_system_names_the_file_without_its_number():
    assert words_of(FULL) == "/out/x.npz: No space left on device."


def test_a_full_disk_while_weights_are_exported(tmp_path, monkeypatch):
    """Safetensors says so by an error of its own."""

    def fail(*arguments):
        raise safetensors_file.SafetensorError("I/O error: No space left (os error 28)")

    run = untrained("digits", tmp_path / "run")
    monkeypatch.setattr(safetensors_file, "save_file", fail)
    out = tmp_path / "sub" / "x.safetensors"
    line = refusal("export", run, "--format", "safetensors", "--out", out, code=1)
    assert line == f"error: {out}: No space left on device."
    assert not out.parent.exists()


def test_a_platform_that_is_not_there_is_named(tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("Unable to initialize backend 'nonesuch'")

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setattr("sde_jax.command_line.watch.show", fail)
    (tmp_path / "config.json").write_text("{}")
    line = refusal("watch", tmp_path)
    assert line.startswith("error: JAX_PLATFORMS=cpu names no platform that JAX can use here: ")


def test_a_bug_is_no_refusal(monkeypatch, tmp_path):
    def fail(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr("sde_jax.command_line.watch.show", fail)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TypeError, match="a bug"):
        run_command("watch", tmp_path)
