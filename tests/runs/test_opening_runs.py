"""Tests of what `sample` and `likelihood` say of folders that they cannot use as a run."""

import json
import shutil

import pytest
from in_process import RING, contents, refusal, run_command, succeed

COMMANDS = ["sample", "likelihood"]


def truncate(checkpoint):
    """Cuts every file of a checkpoint's arrays in half."""
    for path in (checkpoint / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage(run, change):
    """Changes the stored configuration."""
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_run(tmp_path, command):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nowhere"):
        assert f"{path} holds no run: it has no config.json" in refusal(command, path)
    assert "RUN is missing" in refusal(command)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_without_a_checkpoint(ring_copy, command):
    shutil.rmtree(ring_copy / "checkpoints")
    assert "has no checkpoint yet: train it first" in refusal(command, ring_copy)


def test_the_checkpoint_before_a_truncated_one_is_used_and_said_so(ring_copy, tmp_path):
    truncate(ring_copy / "checkpoints" / "4")
    outcome = run_command("sample", ring_copy, "--count", 2, "--out", tmp_path / "x.npz")
    assert outcome.code == 0
    assert outcome.results["step"] == 2
    (line,) = outcome.messages
    assert "the checkpoint of step 4 is unreadable" in line
    assert "using the checkpoint of step 2 instead" in line


def test_training_goes_on_from_the_checkpoint_before_a_truncated_one(ring_copy):
    truncate(ring_copy / "checkpoints" / "4")
    options = ["--workdir", ring_copy, "--resume", *RING, "--training.steps", 3]
    outcome = run_command("train", "ring", *options)
    assert outcome.code == 0
    assert outcome.results["step"] == 3
    (line,) = outcome.messages
    assert "using the checkpoint of step 2 instead" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_truncated_checkpoints(ring_copy, command):
    for checkpoint in (ring_copy / "checkpoints").iterdir():
        truncate(checkpoint)
    before = contents(ring_copy)
    line = refusal(command, ring_copy)
    assert "the checkpoint of step 4 is unreadable" in line
    assert "there is no other one" in line
    assert contents(ring_copy) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"name": "ring"}', "\0"])
def test_a_configuration_that_is_none(ring_copy, text):
    (ring_copy / "config.json").write_text(text)
    assert "config.json" in refusal("sample", ring_copy)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["experiment"].update(more=1), "`experiment` has an unknown field `more`"),
        (lambda c: c["experiment"].pop("optimizer"), "`experiment` lacks the field `optimizer`"),
        (lambda c: c["experiment"].update(sde=3), "`experiment.sde` must be of type LinearSDE"),
        (
            lambda c: c["experiment"]["sde"].update(type="sde_jax.sde.VP"),
            "`experiment.sde` has an unknown field `beta`",
        ),
        (lambda c: c.update(format=99), "`format` is 99, and this version of sde_jax reads 1 to 2"),
        (
            lambda c: c["experiment"]["data"].update(radius=-1),
            "`experiment.data` is not a Ring: `radius` must be positive",
        ),
        (
            lambda c: c["experiment"]["training"].update(steps="many"),
            "`experiment.training.steps` must be of type int: got 'many'",
        ),
    ],
)
def test_a_configuration_that_does_not_fit(ring_copy, change, complaint):
    damage(ring_copy, change)
    line = refusal("sample", ring_copy)
    assert "config.json cannot be used: " in line
    assert complaint in line


def test_a_run_opens_without_its_definition(ring_copy, tmp_path):
    damage(ring_copy, lambda config: config.update(name="bogus"))
    assert succeed("sample", ring_copy, "--count", 2, "--out", tmp_path / "x.npz")["step"] == 4


def test_a_network_of_another_shape_is_not_read_into(ring_copy):
    damage(ring_copy, lambda config: config["experiment"]["network"].update(width=32))
    assert "is unreadable" in refusal("sample", ring_copy)


def test_a_run_can_be_moved(ring_copy, tmp_path):
    moved = ring_copy.rename(tmp_path / "moved")
    assert succeed("sample", moved, "--count", 2, "--out", tmp_path / "x.npz")["step"] == 4
