import json
import os
import shutil
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_run import TRAINING, ToySource, assert_bitwise, lines, run_toy, toy_learner

from sde_jax.training import (
    Checkpoints,
    Learner,
    data_mesh,
    run_keys,
)

SECOND = "a second one stops at once"


def at_batch(number, action):
    return ToySource(on_batch=lambda index: action() if index == number else None)


def test_it_learns_and_says_so(whole):
    folder, result = whole
    assert (result.step, result.stopped) == (40, False)
    assert result.images_per_second > 0
    log = [json.loads(line) for line in lines(folder)]
    losses = {line["step"]: line["loss"] for line in log if "loss" in line}
    held_out = {line["step"]: line["held_out_loss"] for line in log if "held_out_loss" in line}
    assert list(losses) == list(range(4, 41, 4))
    assert list(held_out) == [10, 20, 30, 40]
    assert losses[40] < losses[4]
    assert held_out[40] == result.held_out_loss < held_out[10]
    assert Checkpoints(folder / "checkpoints").steps() == [36, 40]
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "versions.json", "metrics.jsonl", "logs", "checkpoints", "lock"
    }  # fmt: skip


def test_a_line_is_the_mean_of_the_updates_since_the_last(whole):
    folder, _ = whole
    learner, keys = toy_learner(), run_keys(TRAINING.seed)
    state, source = learner.init(keys.init), ToySource()
    batches = source.stream(keys.data, "train", TRAINING.batch_size)
    losses = []
    for step in range(8):
        key = jax.random.fold_in(keys.update, step)
        state, metrics = jax.jit(learner.update)(state, key, next(batches))
        losses.append(metrics["loss"])
    logged = [json.loads(line) for line in lines(folder)][:2]
    np.testing.assert_allclose(logged[0]["loss"], np.mean(losses[:4]), rtol=1e-5)
    np.testing.assert_allclose(logged[1]["loss"], np.mean(losses[4:]), rtol=1e-5)


@pytest.mark.parametrize(
    ("number", "batch"),
    [(signal.SIGTERM, 17), pytest.param(signal.SIGINT, 19, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_the_rest_follows_as_if_it_had_not_come(
    tmp_path, whole, number, batch, capsys
):
    folder, expected = whole
    handler = signal.getsignal(number)
    interrupt = at_batch(batch, lambda: os.kill(os.getpid(), number))
    stopped = run_toy(tmp_path, source=interrupt)
    assert signal.getsignal(number) is handler
    assert stopped.stopped
    assert stopped.step == batch + 1
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == batch + 1
    said = capsys.readouterr().err
    assert said == f"{signal.Signals(number).name}: stopping at step {batch + 1}; {SECOND}\n"
    resumed = run_toy(tmp_path)
    assert signal.getsignal(number) is handler
    assert not resumed.stopped
    assert_bitwise(resumed, expected)
    assert lines(tmp_path) == lines(folder)
    assert resumed.held_out_loss == expected.held_out_loss


@pytest.mark.slow("test_a_signal_saves_and_the_rest_follows_as_if_it_had_not_come")
def test_a_crash_loses_only_what_comes_after_the_last_checkpoint(tmp_path, whole):
    folder, expected = whole

    def crash():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run_toy(tmp_path, source=at_batch(23, crash))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 24, "loss"')
    assert_bitwise(run_toy(tmp_path), expected)
    assert lines(tmp_path) == lines(folder)


def test_an_unreadable_checkpoint_is_passed_over_and_made_again(tmp_path, whole, capsys):
    folder, expected = whole
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "checkpoints" / "40" / "state" / "manifest.ocdbt").write_bytes(b"")
    assert_bitwise(run_toy(tmp_path), expected)
    assert "using the checkpoint of step 36 instead\n" in capsys.readouterr().err
    assert lines(tmp_path) == lines(folder)
    assert (tmp_path / "unreadable" / "40").is_dir()
    assert Checkpoints(tmp_path / "checkpoints").steps() == [36, 40]


def test_a_finished_run_returns_at_once(whole):
    folder, expected = whole
    before = (folder / "metrics.jsonl").read_bytes()

    def fail():
        raise AssertionError("nothing is left to train")

    again = run_toy(folder, source=ToySource(on_batch=lambda index: fail()))
    assert_bitwise(again, expected)
    assert (again.step, again.stopped, again.seconds) == (40, False, 0.0)
    assert again.held_out_loss == expected.held_out_loss
    assert (folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow("test_a_signal_saves_and_the_rest_follows_as_if_it_had_not_come")
def test_more_steps_can_be_asked_for(tmp_path, whole):
    _, expected = whole
    run_toy(tmp_path, steps=24)
    assert_bitwise(run_toy(tmp_path), expected)


@pytest.mark.slow(
    "tests/training/test_checkpoint.py::test_what_is_saved_is_restored_on_other_devices"
)
@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_devices_changes_rounding_only(tmp_path, whole, count):
    """Also halfway: a checkpoint of 8 devices is continued on fewer."""
    _, expected = whole
    few = data_mesh(jax.devices()[:count])
    run_toy(tmp_path, steps=24)
    for result in (run_toy(tmp_path, mesh=few), run_toy(tmp_path / "few", mesh=few)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5),
            result.state,
            expected.state,
        )
        assert len(result.state.step.sharding.device_set) == count


@pytest.mark.slow("test_the_update_is_traced_once_for_each_program")
def test_several_steps_in_a_dispatch_change_rounding_only(tmp_path, whole):
    folder, expected = whole
    result = run_toy(tmp_path, steps_per_call=3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5),
        result.state,
        expected.state,
    )
    steps = [[json.loads(line)["step"] for line in lines(each)] for each in (tmp_path, folder)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("steps_per_call", "traces"), [(0, 1), pytest.param(1, 1, marks=pytest.mark.slow), (3, 2)]
)
def test_the_update_is_traced_once_for_each_program(tmp_path, whole, steps_per_call, traces):
    """And several steps in a dispatch log what single ones do, up to rounding."""
    learner, counted = toy_learner(), []

    def update(*arguments):
        counted.append("update")
        return learner.update(*arguments)

    def evaluate(*arguments):
        counted.append("evaluate")
        return learner.evaluate(*arguments)

    counting = Learner(learner.init, update, evaluate)
    run_toy(tmp_path, learner=counting, steps_per_call=steps_per_call, steps=10)
    assert counted.count("update") == traces
    assert counted.count("evaluate") == 1
    logs = [[json.loads(line) for line in lines(folder)][:2] for folder in (tmp_path, whole[0])]
    for found, expected in zip(*logs, strict=True):
        assert found == pytest.approx(expected, rel=2e-4)


@pytest.mark.slow("tests/training/test_checkpoint.py::test_the_newest_are_kept_and_the_best")
def test_the_best_is_kept(tmp_path):
    """The held-out loss is lowest at step 20 of 10, 20, 30, 40; checkpoints are due at others."""
    learner = toy_learner()

    def evaluate(state, key, batch):
        return jnp.abs(state.step - 22.0) + jnp.zeros(16)

    watched = Learner(learner.init, learner.update, evaluate)
    options = {"learner": watched, "keep_best": True, "checkpoint_every": 15, "keep_checkpoints": 1}
    run_toy(tmp_path, steps=30, **options)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == [20, 30]
    run_toy(tmp_path, **options)
    assert checkpoints.steps() == [20, 40]
    assert checkpoints.best_step() == 20


def test_the_last_step_is_logged_evaluated_and_saved(tmp_path):
    run_toy(tmp_path, steps=13)
    steps = [json.loads(line)["step"] for line in lines(tmp_path)]
    assert steps == [4, 8, 10, 12, 13, 13]
    assert Checkpoints(tmp_path / "checkpoints").steps() == [12, 13]


def test_no_evaluation_at_all(tmp_path):
    assert run_toy(tmp_path, eval_every=0, steps=4).held_out_loss is None


def test_it_runs_outside_the_main_thread(tmp_path, whole):
    folder, _ = whole
    thread = threading.Thread(target=lambda: run_toy(tmp_path, steps=8))
    thread.start()
    thread.join()
    assert lines(tmp_path)[:2] == lines(folder)[:2]


def test_a_second_signal_stops_at_once(tmp_path):
    def interrupt_twice():
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    # A shell that starts this in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_toy(tmp_path, source=at_batch(7, interrupt_twice))
    finally:
        signal.signal(signal.SIGINT, before)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [6]
