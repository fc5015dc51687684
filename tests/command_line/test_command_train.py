"""Tests of ``train``: dry runs, overrides, what a run leaves, and ``--resume``."""

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings

import jax
import numpy as np
import pytest
from in_process import RING, contents, refusal, run_command, succeed

from sde_jax.recipes.serialization import to_config
from sde_jax.runs import definition_names, training
from sde_jax.runs.catalogue import find
from sde_jax.runs.trained_run import open_run
from sde_jax.runs.training import CHANGEABLE
from sde_jax.training.errors import ConfigChangedError
from sde_jax.training.loop import TrainResult
from sde_jax.training.metrics_log import MetricsLog
from sde_jax.training.run_directory import RunDirectory


def parameters(run):
    return open_run(run).score.params


def start(*args, devices):
    """The command line in a process of its own."""
    count = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-m", "sde_jax", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {count}"},
    )


def wait_for(path, process):
    """Waits until a file of the process is there."""
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, ring_run):
    monkeypatch.setattr(definition_names, "FOLDER", definition_names.FOLDER.absolute())
    monkeypatch.chdir(tmp_path)
    results = succeed("train", "ring", "--dry-run", *RING, "--data.radius", 2)
    assert list(tmp_path.iterdir()) == []
    assert results["experiment"]["data"] == {
        "type": "sde_jax.data.Ring",
        "radius": 2.0,
        "deviation": 0.1,
    }
    assert results["experiment"]["training"]["steps"] == 4
    assert results["name"] == "ring"
    trained = jax.tree.leaves(parameters(ring_run))
    assert results["parameters"] == sum(leaf.size for leaf in trained)


def test_training_prints_its_results_and_leaves_a_run(ring_training):
    run, outcome = ring_training
    assert outcome.code == 0, outcome.stderr
    (warning,) = outcome.messages
    assert warning.startswith(
        "warning: `optimizer.warmup_steps`=100 is more than `training.steps`=4"
    )
    assert len(outcome.stdout.splitlines()) == 1
    results = outcome.results
    assert results["run"] == str(run)
    assert results["step"] == 4
    assert results["stopped"] is False
    assert 0 < results["held_out_loss"] < 100
    names = {path.name for path in (run / "pictures").iterdir()}
    assert names == {"training.png"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"2", "4"}


def test_options_are_what_is_trained(ring_run):
    config = json.loads((ring_run / "config.json").read_text())
    assert config["name"] == "ring"
    expected = to_config(find("ring").experiment)
    expected["network"] |= {"width": 16, "depth": 1}
    expected["sampling"]["steps"] = 8
    expected["training"] |= {
        "steps": 4,
        "batch_size": 16,
        "log_every": 2,
        "checkpoint_every": 2,
        "eval_examples": 16,
        "eval_every": 4,
    }
    assert config["experiment"] == expected
    layers = [layer["kernel"].shape for layer in parameters(ring_run).values() if "kernel" in layer]
    assert max(max(shape) for shape in layers) == 16
    steps = [line["step"] for line in RunDirectory.open(ring_run).read_metrics()]
    assert sorted(set(steps)) == [2, 4]


def test_a_finished_run_is_left_alone(ring_copy):
    before = contents(ring_copy)
    results = succeed("train", "ring", "--workdir", ring_copy, "--resume", *RING)
    assert results["step"] == 4
    assert results["seconds"] == 0
    assert results["run"] == str(ring_copy)
    picture = ring_copy / "pictures" / "training.png"
    after = contents(ring_copy)
    assert {path for path in after if after[path] != before.get(path)} <= {picture}


def test_a_run_goes_on_with_more_steps(ring_copy):
    options = ["--resume", *RING, "--training.steps", 6, "--training.checkpoint-every", 5]
    assert succeed("train", "ring", "--workdir", ring_copy, *options)["step"] == 6
    config = json.loads((ring_copy / "config.json").read_text())
    assert config["experiment"]["training"]["steps"] == 6
    assert (ring_copy / "checkpoints" / "6").is_dir()


@pytest.mark.slow("test_a_run_goes_on_with_more_steps")
def test_a_run_of_eight_devices_goes_on_with_one(ring_copy, tmp_path):
    other = shutil.copytree(ring_copy, tmp_path / "other")
    options = ["--resume", *RING, "--training.steps", 6, "--training.checkpoint-every", 5]
    assert succeed("train", "ring", "--workdir", ring_copy, *options)["step"] == 6
    with start("train", "ring", "--workdir", other, *options, devices=1) as process:
        wait_for(other / "checkpoints" / "6", process)
        process.send_signal(signal.SIGKILL)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, parameters(ring_copy), parameters(other))
    first, second = (json.loads((run / "config.json").read_text()) for run in (ring_copy, other))
    assert first == second
    assert first["experiment"]["training"]["steps"] == 6


def check_stopped(run, results, stderr):
    assert results["stopped"] is True
    assert 2 <= results["step"] < 10**8
    assert "SIGTERM: stopping at step" in stderr
    assert (run / "checkpoints" / str(results["step"])).is_dir()
    assert (run / "pictures" / "training.png").is_file()


def test_a_signal_to_this_process_stops_it_with_a_checkpoint(tmp_path, monkeypatch):
    write = MetricsLog.write

    def write_and_stop(*args, **options):
        write(*args, **options)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(MetricsLog, "write", write_and_stop)
    options = ["--workdir", tmp_path / "run", *RING, "--training.steps", 10**8]
    outcome = run_command("train", "ring", *options)
    assert outcome.code == 0, outcome.stderr
    check_stopped(tmp_path / "run", outcome.results, outcome.stderr)


@pytest.mark.slow("test_a_signal_to_this_process_stops_it_with_a_checkpoint")
def test_a_signal_stops_it_with_a_checkpoint(tmp_path):
    options = ["--workdir", tmp_path / "run", *RING, "--training.steps", 10**8]
    with start("train", "ring", *options, devices=8) as process:
        wait_for(tmp_path / "run" / "metrics.jsonl", process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    check_stopped(tmp_path / "run", json.loads(stdout), stderr)


def test_a_run_that_stops_before_its_first_line_ends_well(tmp_path, monkeypatch):
    def stopped_at_once(learner, source, directory, training, *, draw):
        return TrainResult(None, 1, True, None, 0.5, 0.0)

    monkeypatch.setattr(training, "train", stopped_at_once)
    results = succeed("train", "ring", "--workdir", tmp_path / "run", *RING)
    assert results["stopped"] is True
    assert results["held_out_loss"] is None


def test_more_steps_data_folder_and_intervals_may_change(tmp_path):
    experiment = find("mnist_vp").experiment
    training = dataclasses.replace(experiment.training, steps=60_000, checkpoint_every=7)
    data = dataclasses.replace(experiment.data, data_dir="/elsewhere")
    changed = dataclasses.replace(experiment, training=training, data=data)
    RunDirectory.create(tmp_path, {"experiment": to_config(experiment)})
    RunDirectory.resume(tmp_path, {"experiment": to_config(changed)}, changeable=CHANGEABLE)
    other = dataclasses.replace(changed, ema_decay=0.5)
    with pytest.raises(ConfigChangedError, match=r"`experiment\.ema_decay`"):
        RunDirectory.resume(tmp_path, {"experiment": to_config(other)}, changeable=CHANGEABLE)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--network.widht", 8], "--network.widht, 8. Perhaps you meant --network.width"),
        (["--training.steps", "many"], "--training.steps takes an integer: got 'many'"),
        (["--optimizer.learning-rate", "x"], "--optimizer.learning-rate takes a number: got 'x'"),
        (["--optimizer.decay", "x"], "--optimizer.decay must be one of constant, cosine: got 'x'"),
        (["--optimizer.clip-norm", "x"], "--optimizer.clip-norm takes a number: got 'x'"),
        (["--training.steps"], "--training.steps needs a value"),
        (["--training.steps", 0], "training: `steps` must be at least 1: got steps=0"),
        (["--data.radius", -1], "data: `radius` must be positive"),
        (["--sde.beta", 0], "sde: `beta` must be positive"),
        (["--ema-decay", 2], "`ema_decay` must lie in [0, 1)"),
        (["--sampling.snr", 0], "sampling: `snr` must be positive"),
        (["--likelihood.tolerance", 0], "likelihood: `tolerance` must be positive"),
        (["--training.batch-size", 12], "`batch_size` must be a multiple of the 8 devices"),
        (["extra"], "Unrecognized options: extra"),
    ],
)
@pytest.mark.parametrize(
    "way",
    [
        [],
        pytest.param(["--dry-run"], marks=pytest.mark.slow),
        pytest.param(["--resume"], marks=pytest.mark.slow),
    ],
    ids=["new", "dry", "resume"],
)
def test_options_are_refused(tmp_path, way, options, complaint):
    line = refusal("train", "ring", "--workdir", tmp_path / "run", *way, *options)
    assert complaint in line
    assert list(tmp_path.iterdir()) == []


def test_a_prior_that_is_not_reached_is_warned_of_in_a_line():
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        outcome = run_command("train", "ring", "--dry-run", "--sde.beta", 1, "--sde.s", 1.4)
    assert outcome.code == 0
    (line,) = outcome.messages
    assert line.startswith("warning: beta=1.0 leaves alpha(1) = 0.368 of the data")


def test_a_network_that_does_not_fit_the_data_is_refused(tmp_path):
    options = ["--workdir", tmp_path / "run", "--network.multipliers", 1, 2, 4, 8, 16]
    line = refusal("train", "digits_vp", *options)
    assert "the longest axis must exceed 8, since the levels of `multipliers` halve it" in line
    assert list(tmp_path.iterdir()) == []


def test_a_changed_field_is_named_and_nothing_changed(ring_copy):
    before = contents(ring_copy)
    options = ["--resume", *RING, "--optimizer.b1", 0.8, "--training.seed", 1]
    line = refusal("train", "ring", "--workdir", ring_copy, *options)
    assert "`experiment.optimizer.b1` from 0.9 to 0.8" in line
    assert "`experiment.training.seed` from 0 to 1" in line
    assert contents(ring_copy) == before


def test_a_folder_that_is_taken_is_refused(ring_copy, tmp_path):
    before = contents(ring_copy)
    assert "--resume continues it" in refusal("train", "ring", "--workdir", ring_copy, *RING)
    assert contents(ring_copy) == before
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        for way in ([], ["--resume"]):
            line = refusal("train", "ring", "--workdir", taken, *RING, *way)
            assert "holds no run: choose another folder" in line
    line = refusal("train", "ring", "--workdir", tmp_path / "file" / "run", *RING)
    assert "cannot be written" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_data_that_is_not_prepared_is_refused(tmp_path):
    options = ["--workdir", tmp_path / "run", "--data.data-dir", tmp_path / "nowhere"]
    line = refusal("train", "mnist_vp", *options)
    assert f"{tmp_path / 'nowhere'} is not a folder" in line
    assert "tfds build mnist" in line
    assert list(tmp_path.iterdir()) == []
