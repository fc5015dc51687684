"""Tests of ``--print-completion``: bash accepts the script, and completes commands and options."""

import shutil
import subprocess

import pytest
from in_process import refusal, run_command

from sde_jax.command_line.main import COMMANDS

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$(complete -p sde-jax | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Files of the scripts, by their shells."""
    folder = tmp_path_factory.mktemp("completion")
    files = {shell: folder / f"script.{shell}" for shell in ("bash", "zsh", "fish")}
    for shell, path in files.items():
        outcome = run_command("--print-completion", shell)
        assert (outcome.code, outcome.stderr) == (0, "")
        path.write_text(outcome.stdout)
    return files


def test_shells_accept_the_scripts(scripts):
    for shell, path in scripts.items():
        assert "sde-jax" in path.read_text()
        if shutil.which(shell):
            subprocess.run([shell, "-n", path], check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sa"], {"sample"}),
        (["wat"], {"watch"}),
        (["data", ""], {"show", "statistics"}),
        (["sample", "runs/x", "--st"], {"--steps"}),
        (["sample", "runs/x", "--sampler", "d"], {"ddim", "dpm++2m", "dpm++3m"}),
        (["label", "x.npz", "--fo"], {"--folder"}),
        (["likelihood", "runs/x", "--prob"], {"--probes"}),
        (["evaluate", "runs/x", "--sampling.st"], {"--sampling.steps"}),
        (["train", "digits_vp", "--training.lo"], {"--training.log-every"}),
        (["data", "show", "folder", "--im"], {"--image-size"}),
    ],
)
def test_commands_and_options_are_completed(scripts, words, expected):
    command = ["bash", "-c", COMPLETE, "bash", scripts["bash"], "sde-jax", *words]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {word for word in process.stdout.splitlines() if not word.startswith("-h")}
    assert found - {"--help"} == expected


def test_completions_are_words(scripts):
    """A line break in a description would end a completion."""
    for command in COMMANDS:
        words = ["bash", scripts["bash"], "sde-jax", command, "-"]
        process = subprocess.run(["bash", "-c", COMPLETE, *words], capture_output=True, text=True)
        assert all(word.startswith("-") for word in process.stdout.split("\n") if word), command


def test_other_shells_are_refused():
    assert "takes one of bash, zsh, fish" in refusal("--print-completion", "csh")
    assert "takes one of bash, zsh, fish" in refusal("--print-completion")
