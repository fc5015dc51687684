"""Which environments are clusters; the agreement itself is tested in tests/experiments."""

import importlib.util

import jax
import pytest

from sde_jax.training import RunDirectory, RunError
from sde_jax.training.processes import (
    HEARTBEAT_SECONDS,
    SHUTDOWN_SECONDS,
    first_error,
    is_first,
    join_processes,
    raise_on_all,
)
from sde_jax.training.run_directory import LOCK, locked

THREE = {
    "JAX_COORDINATOR_ADDRESS": "host:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "2",
}
PATIENCE = {
    "heartbeat_timeout_seconds": HEARTBEAT_SECONDS,
    "shutdown_timeout_seconds": SHUTDOWN_SECONDS,
}
BY_ITSELF: dict = {}


@pytest.fixture
def started(monkeypatch):
    """The arguments of the calls of `jax.distributed.initialize`, on a machine without libtpu."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **arguments: calls.append(arguments))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return calls


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_STEP_NUM_TASKS": "8"}, BY_ITSELF),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, BY_ITSELF),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "3"}, BY_ITSELF),
        (
            THREE | {"SLURM_STEP_NUM_TASKS": "8"},
            {
                "coordinator_address": "host:1234",
                "num_processes": 4,
                "process_id": 2,
                "cluster_detection_method": "deactivate",
            },
        ),
    ],
)
def test_processes_are_joined_where_the_environment_names_several(started, environment, arguments):
    join_processes(environment)
    assert started == ([] if arguments is None else [PATIENCE | arguments])


def test_libtpu_asks_jax_and_may_be_in_vain(started, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    join_processes({})
    assert started == [PATIENCE]

    def no_cluster(**arguments):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", no_cluster)
    join_processes({})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"JAX_PROCESS_ID": ""}, "must be set together, or none of them: JAX_PROCESS_ID missing"),
        ({"JAX_COORDINATOR_ADDRESS": "host"}, "must be host:port: got 'host'"),
        ({"JAX_PROCESS_ID": "4"}, "below JAX_NUM_PROCESSES: got '4' of '4'"),
        ({"JAX_NUM_PROCESSES": "four"}, "below JAX_NUM_PROCESSES: got '2' of 'four'"),
    ],
)
def test_half_an_environment_is_refused(started, changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        join_processes(THREE | changes)
    assert started == []


def test_one_process_agrees_with_itself():
    assert is_first()
    assert first_error(None) is None
    assert first_error("a") == "a"
    assert raise_on_all(lambda: 3) == 3
    error = RunError("mine")

    def fail():
        raise error

    with pytest.raises(RunError) as raised:
        raise_on_all(fail)
    assert raised.value is error


def test_two_trainers_in_one_folder_are_refused_and_nothing_changed(tmp_path):
    run = RunDirectory.create(tmp_path, {"a": 1})
    config = (tmp_path / "config.json").read_bytes()
    with run.locked():
        for action in (run.locked().__enter__, lambda: RunDirectory.resume(tmp_path, {"a": 2})):
            with pytest.raises(RunError):
                action()
        with pytest.raises(RunError, match="is being trained by another process: wait"):
            RunDirectory.resume(tmp_path, {"a": 2}, changeable={"a"})
        assert (tmp_path / "config.json").read_bytes() == config
    RunDirectory.resume(tmp_path, {"a": 2}, changeable={"a"})


def test_where_nothing_can_be_locked_nobody_is_refused(tmp_path, monkeypatch):
    def cannot(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", cannot)
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / LOCK).read_bytes() == b""
