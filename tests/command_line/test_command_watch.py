"""Tests of ``watch``: what it says of runs in every condition, from files alone."""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys

import pytest
from in_process import contents, refusal, run_command, succeed

from sde_jax.command_line.main import main
from sde_jax.training.run_directory import RunDirectory

NOW = 2_000_000_000.0
STEPS = 1000


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 1000 steps that began an hour before now."""
    monkeypatch.setattr("sde_jax.runs.status.time.time", lambda: NOW)
    config = {"name": "mine", "experiment": {"training": {"steps": STEPS}}}
    directory = RunDirectory.create(tmp_path / "run", config)
    happened(directory.path / "config.json", 3600)
    return directory


def happened(path, seconds_ago):
    os.utime(path, (NOW - seconds_ago, NOW - seconds_ago))


def write_lines(run, count, *, every=10, seconds=2.0, ago=1.0, rest=""):
    lines = [
        {"step": every * n, "loss": 1 / n, "images_per_second": 50.0 * n, "seconds": seconds * n}
        for n in range(1, count + 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run.metrics.write_text(text + rest)
    happened(run.metrics, ago)


def make(path, *, folder=False, ago):
    path.parent.mkdir(exist_ok=True)
    if folder:
        path.mkdir()
    else:
        path.touch()
    happened(path, ago)


def test_a_run_that_trains(run):
    """50 steps in 10 seconds were made of 1000: 190 seconds are left."""
    write_lines(run, 5, rest='{"step": 50, "held_out_loss": 0.25}\n{"step": 60, "lo')
    for step, ago in ((20, 30), (40, 7)):
        make(run.checkpoints / str(step), folder=True, ago=ago)
        make(run.pictures / f"samples-{step}.png", ago=ago)
    make(run.checkpoints / "50.orbax-checkpoint-tmp", folder=True, ago=0)
    make(run.pictures / ".samples-50.png.7.tmp", ago=0)
    outcome = run_command("watch", run.path)
    assert outcome.code == 0, outcome.stderr
    assert outcome.results == {
        "run": str(run.path),
        "name": "mine",
        "state": "training",
        "step": 50,
        "steps": STEPS,
        "images_per_second": 250.0,
        "seconds_left": pytest.approx(190),
        "loss": 0.2,
        "held_out_loss": 0.25,
        "held_out_step": 50,
        "checkpoint": 40,
        "checkpoint_age": 7.0,
        "picture": "pictures/samples-40.png",
        "picture_age": 7.0,
        "line_age": 1.0,
        "line_interval": 2.0,
    }
    for fact in (
        f"mine in {run.path}: training",
        "step        50 of 1,000 (5%)",
        "250 images/s",
        "03:10",
        "held out    0.25 at step 50",
        "step 40, 00:07 ago",
        "00:01 ago, usually every 00:02",
        ". training, o held out",
    ):
        assert fact in outcome.stdout
    assert "\x1b" not in outcome.stdout
    assert outcome.stdout.isascii()


def test_the_time_left_is_that_of_the_last_lines(run):
    """The first 5 lines took 2 seconds each, the 25 after them 100."""
    lines = [{"step": 10 * n, "seconds": 2.0 * n + 98 * max(n - 5, 0)} for n in range(1, 31)]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    happened(run.metrics, 0)
    assert succeed("watch", run.path)["seconds_left"] == pytest.approx(700 * 10)


@pytest.mark.parametrize(
    ("seconds", "ago", "state"),
    [(2, 290, "training"), (2, 310, "silent"), (600, 2900, "training"), (600, 3100, "silent")],
)
def test_silence_is_measured_by_the_usual(run, seconds, ago, state):
    write_lines(run, 4, seconds=float(seconds), ago=ago)
    assert succeed("watch", run.path)["state"] == state


def test_a_run_that_was_taken_up_again_is_alive_before_its_first_line(run):
    write_lines(run, 4, ago=5000)
    make(run.logs / "events", ago=100)
    assert succeed("watch", run.path)["state"] == "training"


@pytest.mark.parametrize(("ago", "state"), [(800, "starting"), (1000, "silent")])
def test_a_run_without_a_line(run, ago, state):
    happened(run.path / "config.json", ago)
    results = succeed("watch", run.path)
    assert (results["state"], results["step"], results["loss"]) == (state, 0, None)


def test_a_finished_run(run):
    """However long ago, and with another host's clock ahead of ours."""
    write_lines(run, 100, ago=10**6)
    make(run.checkpoints / str(STEPS), folder=True, ago=-50)
    results = succeed("watch", run.path)
    assert (results["state"], results["seconds_left"]) == ("finished", 0)
    assert results["checkpoint_age"] == 0


@pytest.mark.parametrize("damage", ["\x00\x00\x00\n", "[3]\n", '{"step": 60'])
def test_a_damaged_line_ends_what_is_read(run, damage):
    write_lines(run, 5, rest=damage)
    assert succeed("watch", run.path)["step"] == 50


def test_damaged_lines_are_skipped_and_counted(run):
    write_lines(run, 2)
    with run.metrics.open("a") as file:
        file.write('null\n{"step": "x"}\n{"step": 20, "seconds": 5}\n{"step": 20, "lo')
    outcome = run_command("watch", run.path)
    assert outcome.code == 0, outcome.stderr
    assert (outcome.results["step"], outcome.results["damaged_lines"]) == (20, 2)
    assert "2 damaged lines of metrics.jsonl are skipped" in outcome.stdout


def test_equal_steps_tell_no_rate(run):
    run.metrics.write_text('{"step": 5, "seconds": 1}\n{"step": 5, "seconds": 2}\n')
    results = succeed("watch", run.path)
    assert (results["seconds_left"], results["line_interval"]) == (None, None)
    assert "damaged_lines" not in results


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("mine", 0),
        ("mine", "x"),
        ("mine", 2.5),
        ("mine", True),
        (5, 10),
        (None, 10),
        ("mine", None),
    ],
)
def test_a_configuration_of_other_types_is_refused(run, name, steps):
    config = {"name": name, "experiment": {"training": {"steps": steps}}}
    (run.path / "config.json").write_text(json.dumps(config))
    line = refusal("watch", run.path)
    assert "config.json is not that of an experiment: it needs a `name` and positive" in line


def test_a_real_run_is_read_and_left_as_it_is(ring_run):
    before = contents(ring_run)
    results = succeed("watch", ring_run)
    assert (results["name"], results["state"], results["step"]) == ("ring", "finished", 4)
    assert contents(ring_run) == before


def test_what_is_no_run_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert refusal("watch", folder) == f"error: {folder} holds no run: it has no config.json"
    RunDirectory.create(tmp_path / "toy", {"width": 8})
    assert "is not that of an experiment" in refusal("watch", tmp_path / "toy")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(monkeypatch, run, *between):
    """Exit code and screens of a command on a terminal, with what happens between two looks."""
    actions = iter(between)
    monkeypatch.setattr("sde_jax.command_line.watch.time.sleep", lambda _: next(actions)())
    with contextlib.redirect_stdout(Terminal()) as terminal:
        code = main(["watch", str(run.path)])
    nothing, *screens = terminal.getvalue().split("\x1b[H\x1b[2J")
    assert nothing == ""
    return code, screens


def test_on_a_terminal_it_goes_on_until_control_c(run, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    write_lines(run, 5)
    code, screens = on_terminal(monkeypatch, run, lambda: write_lines(run, 6), interrupt)
    assert code == 0
    assert ["of 1,000 (5%)" in screens[0], "of 1,000 (6%)" in screens[1]] == [True, True]
    assert len(screens) == 2
    assert json.loads(screens[-1].splitlines()[-1])["step"] == 60


def test_on_a_terminal_it_goes_on_until_the_run_is_finished(run, monkeypatch):
    write_lines(run, 99)
    finish = functools.partial(make, run.checkpoints / str(STEPS), folder=True, ago=0)
    code, screens = on_terminal(monkeypatch, run, lambda: None, finish)
    assert (code, len(screens)) == (0, 3)
    assert json.loads(screens[-1].splitlines()[-1])["state"] == "finished"


def test_it_touches_no_device(run):
    """JAX_PLATFORMS names no platform: touching a device would fail."""
    write_lines(run, 5)
    process = subprocess.run(
        [sys.executable, "-m", "sde_jax", "watch", str(run.path)],
        env={**os.environ, "JAX_PLATFORMS": "nonesuch"},
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout.splitlines()[-1])["step"] == 50
