"""The command line in two processes that `jax.distributed` joins, one CPU device each."""

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from in_process import RING, run_command, succeed

from sde_jax.interop.statistics_file import read_reference
from sde_jax.runs.trained_run import open_run
from sde_jax.training.processes import HEARTBEAT_SECONDS
from sde_jax.training.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]
TIMES = {"seconds", "images_per_second"}
SAMPLE, LIKELIHOOD = ("--count", 5), ("--count", 3, "--tolerance", 0.01, "--probes", 2)
STATISTICS = ("--features", "coordinates", "--split", "test", "--count", 50)
EVALUATE = (
    *("--count", 40, "--batch-size", 8, "--sampling.steps", 3, "--likelihood-count", 16),
    *("--features", "coordinates", "--likelihood.tolerance", 0.1),
)
ENDLESS = ("--training.steps", 10**8)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


class Pair:
    """Two processes that run ``commands``, each a list of arguments, one after the other."""

    def __init__(self, folder, *commands):
        script = folder / "commands.json"
        script.write_text(json.dumps([[str(word) for word in command] for command in commands]))
        one_device = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": one_device,
            "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
            "JAX_NUM_PROCESSES": "2",
        }
        program = [sys.executable, str(Path(__file__).with_name("two_processes.py")), str(script)]
        self.processes = [
            subprocess.Popen(
                program,
                env={**environment, "JAX_PROCESS_ID": str(index)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(2)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes:
            process.kill()
            process.communicate()

    def wait(self, timeout=300):
        """Codes, results on stdout (objects), and stderr of both."""
        said = [process.communicate(timeout=timeout) for process in self.processes]
        results = [
            [json.loads(line) for line in out.splitlines() if line.startswith("{")]
            for out, _ in said
        ]
        codes = [process.returncode for process in self.processes]
        return codes, results, [errors for _, errors in said]


def wait_for(condition, pair):
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        for process in pair.processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def log(run):
    """The log without times."""
    lines = RunDirectory.open(run).read_metrics()
    return [{name: line[name] for name in line.keys() - TIMES} for line in lines]


def steps_of(run):
    return sorted(
        int(path.name) for path in (run / "checkpoints").glob("[0-9]*") if path.suffix == ""
    )


close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


def check_that_both_refuse_a_taken_folder(codes, errors):
    """The first process finds the folder taken; the second cannot know."""
    assert codes == [2, 2], errors
    complaint = "is not empty and holds no run: choose another folder"
    assert [line.splitlines()[-1].endswith(complaint) for line in errors] == [True, True]
    assert errors[1].splitlines()[-1].startswith("error: process 0: ")


def test_two_processes_train_and_are_refused_as_one(tmp_path, ring_run):
    run = tmp_path / "run"
    commands = [
        ("train", "ring", "--workdir", run, *RING),
        ("train", "ring", "--workdir", tmp_path / "taken", *RING),
    ]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with Pair(tmp_path, *commands) as pair:
        codes, (results, others), errors = pair.wait()
    check_that_both_refuse_a_taken_folder(codes, errors)
    assert len(results) == len(commands) - 1
    assert others == []
    assert "|" not in errors[1], "a progress bar of the second process"
    jax.tree.map(close, *(open_run(path).score.params for path in (run, ring_run)))
    for line, expected in zip(log(run), log(ring_run), strict=True):
        assert line == pytest.approx(expected, rel=1e-4)
    assert len(list((run / "logs").iterdir())) == 1
    assert json.loads((run / "versions.json").read_text())[0]["processes"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"run", "taken", "commands.json"}


@pytest.mark.slow("test_two_processes_train_and_are_refused_as_one")
def test_two_processes_sample_and_measure_as_one(tmp_path, ring_copy, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands = [
        ("sample", ring_copy, *SAMPLE, "--out", tmp_path / "two.npz"),
        ("likelihood", ring_copy, *LIKELIHOOD, "--out", tmp_path / "two.csv"),
        *[("data", "statistics", ring_copy, *STATISTICS)] * 2,
        *[("sample", ring_copy, *SAMPLE, "--batch-size", 2, "--out", tmp_path / "shards")] * 2,
    ]
    with Pair(tmp_path, *commands) as pair:
        codes, (results, others), errors = pair.wait()
    assert codes == [0, 0], errors
    assert others == []
    measured = succeed("likelihood", ring_copy, *LIKELIHOOD)
    succeed("sample", ring_copy, *SAMPLE, "--out", tmp_path / "one.npz")
    close(*(np.load(tmp_path / name)["samples"] for name in ("two.npz", "one.npz")))
    shards = [np.load(path) for path in sorted((tmp_path / "shards").glob("*.npy"))]
    assert list(map(len, shards)) == [2, 2, 1]
    close(np.concatenate(shards), np.load(tmp_path / "one.npz")["samples"])
    assert {**results[5], "seconds": 0} == {**results[4], "seconds": 0}
    assert results[1]["bits_per_dim"] == pytest.approx(measured["bits_per_dim"], rel=1e-4)
    assert results[1]["count"] == measured["count"] == 3
    assert {**results[3], "seconds": 0} == {**results[2], "seconds": 0}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    found = succeed("data", "statistics", ring_copy, *STATISTICS)
    gaussians = [read_reference(x["cached"]).gaussian for x in (results[2], found)]
    assert gaussians[0].count == gaussians[1].count == 50
    close(*(gaussian.covariance for gaussian in gaussians))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("cache", "copy", "other", "commands.json", "two.csv"),
        *("one.npz", "one.png", "two.npz", "two.png", "shards"),
    }


@pytest.mark.filterwarnings("ignore:the covariances of")
@pytest.mark.slow("test_two_processes_train_and_are_refused_as_one")
def test_two_processes_evaluate_as_one_and_one_resumes_two(tmp_path, tiny_run, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs = [shutil.copytree(tiny_run, tmp_path / name) for name in ("two", "one", "resumed")]
    for run in runs[1:]:
        succeed("evaluate", run, *EVALUATE)
    for path in runs[2].glob("evaluations/*/*/*"):
        if path.name in ("0000000016.npy", "00000008.npz"):
            path.unlink()
    with Pair(tmp_path, *[("evaluate", run, *EVALUATE) for run in (runs[0], runs[2])]) as pair:
        codes, _, errors = pair.wait(900)
    assert codes == [0, 0], errors
    records = [
        json.loads(next(run.glob("evaluations/*/evaluation.json")).read_text()) for run in runs
    ]
    for record in records:
        for found, expected in zip(record["findings"], records[1]["findings"], strict=True):
            assert found["metric"] == expected["metric"]
            assert found["value"] == pytest.approx(expected["value"], rel=1e-3, abs=1e-4)
        assert record["samples"] == records[1]["samples"]
        assert record["pictures"] == records[1]["pictures"]
    names = [{path.name for path in next(run.glob("evaluations/*")).iterdir()} for run in runs]
    assert names[0] == names[1] == names[2]
    assert names[0] >= {"evaluation.json", "report.html", "samples.png", "samples"}


@pytest.mark.slow("test_two_processes_train_and_are_refused_as_one")
def test_a_signal_at_one_stops_both_after_the_same_step_and_a_kill_ends_both(tmp_path):
    run = tmp_path / "run"
    endless = ("train", "ring", "--workdir", run, "--resume", *RING, *ENDLESS)
    with Pair(tmp_path, endless) as pair:
        wait_for((run / "checkpoints" / "2").exists, pair)
        pair.processes[1].send_signal(signal.SIGTERM)
        codes, (results, _), errors = pair.wait()
    assert codes == [0, 0], errors
    (result,) = results
    assert result["stopped"] is True
    assert "a signal to another process: stopping at step" in errors[0]
    assert steps_of(run)[-1] == result["step"]
    stopped = result["step"]
    with Pair(tmp_path, endless) as pair:
        wait_for(lambda: steps_of(run)[-1] > stopped, pair)
        line = run_command("train", "ring", "--workdir", run, "--resume", *RING).messages[0]
        assert "is being trained by another process" in line
        pair.processes[0].kill()
        pair.processes[1].wait(HEARTBEAT_SECONDS + 15)
    assert pair.processes[1].returncode != 0
    last = steps_of(run)[-1]
    assert last > stopped
    finish = (*endless, "--training.steps", last + 3)
    with Pair(tmp_path, finish) as pair:
        codes, (results, _), errors = pair.wait()
    assert codes == [0, 0], errors
    assert results[0]["step"] == last + 3
    assert [line["step"] for line in log(run) if "loss" in line][-1] == last + 3


@pytest.mark.slow("test_two_processes_train_and_are_refused_as_one")
def test_the_first_process_ends_when_the_second_is_killed(tmp_path):
    run = tmp_path / "run"
    endless = ("train", "ring", "--workdir", run, "--resume", *RING, *ENDLESS)
    with Pair(tmp_path, endless) as pair:
        wait_for((run / "checkpoints" / "2").exists, pair)
        pair.processes[1].kill()
        pair.processes[0].wait(HEARTBEAT_SECONDS + 30)
    assert pair.processes[0].returncode != 0
