"""What a command imports: nothing that computes, where nothing is computed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sde_jax.command_line.stored_settings import stored_settings
from sde_jax.runs.catalogue import find

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


REFUSED_AFTER_A_RUN = [
    *("sample --bogus", "sample --steps x", "sample --sampler ode --steps 5"),
    *("sample --snr 0.1", "evaluate --count 3", "evaluate --metrics frechet --likelihood.probes 2"),
    *("likelihood --tolerance 0", "likelihood --trace exact --probes 3"),
    "likelihood --compute-dtype bfloat16",
]


def test_an_option_is_refused_before_its_run_is_opened(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(find("digits_vp").config()))
    helped = f"sample {tmp_path} --help"
    refused = [command.replace(" ", f" {tmp_path} ", 1) for command in REFUSED_AFTER_A_RUN]
    codes, modules = after(helped, *refused)
    by_command = dict(zip([helped, *refused], codes, strict=True))
    assert by_command == {helped: 0} | dict.fromkeys(refused, 2)
    assert not modules & COMPUTING


def test_a_run_that_stores_no_settings_is_opened(tmp_path):
    """Its experiment knows them."""
    config = find("digits_vp").config()
    assert stored_settings_of(tmp_path, config).sampling == find("digits_vp").experiment.sampling
    for odd in ({"type": "my.py:Sampling"}, {"type": 3}, {"type": "sde_jax.sde.VP"}, 3):
        experiment = config["experiment"] | {"sampling": odd}
        assert stored_settings_of(tmp_path, config | {"experiment": experiment}) is None
    assert stored_settings_of(tmp_path, config | {"experiment": {}}) is None
    del config["format"]
    assert stored_settings_of(tmp_path, config) is None


def stored_settings_of(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    return stored_settings(folder)


@pytest.mark.slow("test_an_answer_or_a_refusal_imports_nothing_that_computes")
def test_the_help_of_an_experiment_imports_no_solver():
    codes, modules = after("train digits_vp --help")
    assert codes == [0]
    assert modules & (COMPUTING | {"jinja2"}) == {"jax", "numpy", "flax", "optax", "PIL"}


@pytest.mark.slow("test_an_answer_or_a_refusal_imports_nothing_that_computes")
def test_a_training_that_begins_imports_no_solver_and_no_pictures():
    codes, modules = after("train digits_vp --dry-run")
    assert codes == [0]
    assert "jax" in modules
    assert not modules & {"diffrax", "matplotlib", "sklearn"}
