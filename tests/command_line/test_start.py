"""What a command imports: nothing that computes, where nothing is computed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import contextlib, json, sys
from sde_jax.command_line.main import main
codes = []
for args in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(sys.stdout):
        try:
            codes.append(main(args))
        except SystemExit as exit_:
            codes.append(exit_.code or 0)
print(json.dumps([codes, list(sys.modules)]))
"""
ANSWERED = ["list", "--help", "sample --help", "evaluate --help", "edit --help", "train --help"]
REFUSED = [
    *("", "nosuch", "list --bogus", "data", "data show", "data statistics x --count 0"),
    *("train", "train --bogus", "train nosuch", "train nosuch.py:x"),
    *("sample", "sample --count 8", "sample nosuch", "likelihood nosuch", "evaluate --seed 1"),
    *("watch nosuch", "label --bogus", "anomalies nosuch", "compare a", "edit a --task inpaint"),
    *("import x", "export nosuch --format safetensors --out x", "weights inception"),
    *("quickstart --bogus",),
]
COMPUTING = {"jax", "numpy", "scipy", "flax", "optax", "diffrax", "orbax", "matplotlib", "PIL"}


def after(*commands):
    """The exit codes of commands in a child process, and what it imported."""
    words = json.dumps([command.split() for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    codes, modules = json.loads(done.stdout.splitlines()[-1])
    return codes, {name.partition(".")[0] for name in modules}


def test_an_answer_or_a_refusal_imports_nothing_that_computes():
    codes, modules = after(*ANSWERED, *REFUSED)
    by_command = dict(zip([*ANSWERED, *REFUSED], codes, strict=True))
    assert by_command == dict.fromkeys(ANSWERED, 0) | dict.fromkeys(REFUSED, 2)
    assert modules & COMPUTING == {"PIL", "numpy"}


@pytest.mark.slow("test_an_answer_or_a_refusal_imports_nothing_that_computes")
def test_the_help_of_an_experiment_imports_no_solver():
    codes, modules = after("train digits_vp --help")
    assert codes == [0]
    assert modules & (COMPUTING | {"jinja2"}) == {"jax", "numpy", "flax", "optax", "PIL"}
