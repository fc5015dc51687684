"""Tests of ``--help``: every option is explained, and its default shown."""

import os
import re
import subprocess
import sys

import pytest
from in_process import RING, run_command

COMMANDS = [
    *(
        "sample",
        "likelihood",
        "anomalies",
        "evaluate",
        "compare",
        "data show",
        "data statistics",
    ),
    *("weights", "quickstart"),
    *("train digits_ve", "train mnist_vp", "train folder", "train ring", "train digits_classifier"),
    *("train digits_noisy_classifier", "train mnist_ddpm"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_and_its_default_shown(command):
    outcome = run_command(*command.split(), "--help")
    assert outcome.code in (0, None)
    assert outcome.stderr == ""
    entries = re.split(r"\n\s*(?=--[a-z])", outcome.stdout)[1:]
    assert entries
    for entry in entries:
        text = " ".join(entry.split())
        head = re.match(r"--\S+(, --\S+)*( \[?[A-Z\d{}|,a-z-]+( \[[^(]*\]\])?)?", text)[0]
        rest = text.removeprefix(head).partition(" ----")[0]
        assert re.search(r"\(default: .*\)", rest), text
        assert len(rest.partition("(default")[0].split()) >= 3, text


def test_help_on_commands():
    outcome = run_command("--help")
    assert outcome.code == 0
    commands = (
        "list",
        "train NAME",
        "watch RUN",
        "sample RUN",
        "label SAMPLES.npz",
        "likelihood RUN",
        "anomalies RUN",
        "quickstart",
    )
    for command in (*commands, "import FILE", "export RUN", "data show SOURCE", "weights NETWORK"):
        assert re.search(rf"^  {command} +\w+", outcome.stdout, re.MULTILINE)
    assert run_command().code == 2
    names = run_command("train", "--help")
    assert names.code in (0, None)
    assert "  digits_vp\n" in names.stdout


@pytest.mark.parametrize(
    ("encoding", "columns"),
    [("ascii", "60"), pytest.param("utf-8", "200", marks=pytest.mark.slow)],
)
def test_errors_are_one_line_in_any_encoding_and_width(encoding, columns):
    command = [sys.executable, "-m", "sde_jax", "train", "ring", *map(str, RING), "--x.y", "3"]
    environment = {"PYTHONIOENCODING": encoding, "COLUMNS": columns}
    process = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr == (
        "error: Unrecognized options: --x.y, 3 (sde-jax train ring --help explains)\n"
    )
