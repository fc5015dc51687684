"""`fit`: it trains, continues after a kill, opens what is finished, and refuses what it cannot."""

import dataclasses

import jax
import numpy as np
import pytest
from in_process import succeed
from tiny import tiny

import sde_jax
from experiments.ring import ring
from sde_jax.api import fitting
from sde_jax.api.default_experiments import with_steps
from sde_jax.api.given_array import GivenArray, given_array
from sde_jax.data import DataNotFoundError
from sde_jax.nets.mlp import MLPSpec
from sde_jax.recipes import LikelihoodSettings
from sde_jax.runs.catalogue import find
from sde_jax.training import RunExistsError
from sde_jax.training.metrics_log import MetricsLog

STEPS = 4
SECONDS = fitting._seconds


def images_of(seed, count=40):
    """Images of two grey levels."""
    return (np.random.default_rng(seed).random((count, 8, 8, 1)) < 0.3).astype(np.uint8) * 200


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One convolution, four updates, and no timing of them."""
    usual, network = fitting._default_experiment, find(tiny("digits")).experiment.network

    def experiment(data, train_count):
        whole = usual(data, train_count)
        likelihood = LikelihoodSettings(t_min=0.01, tolerance=0.3)
        return dataclasses.replace(whole, network=network, likelihood=likelihood)

    monkeypatch.setattr(fitting, "_default_experiment", experiment)
    monkeypatch.setattr(fitting, "LEAST_STEPS", STEPS)
    monkeypatch.setattr(fitting, "_seconds", lambda *_: (0.0, 1e6))


class Killed(BaseException):
    """The end of the process."""


def killed_in(monkeypatch, owner, name, *, after):
    """Lets a function end the process at its call after so many ones."""
    calls, usual = [], getattr(owner, name)

    def call(*args, **options):
        if len(calls) == after:
            raise Killed
        calls.append(name)
        return usual(*args, **options)

    monkeypatch.setattr(owner, name, call)


KILLS = ((fitting, "_steps_until", 0), (GivenArray, "write", 0), (MetricsLog, "write", 5))
"""Calls at which the process ends."""


@pytest.mark.parametrize("kills", [KILLS[2:], pytest.param(KILLS, marks=pytest.mark.slow)], ids=len)
def test_killed_and_called_again_it_ends_as_if_it_never_was(tmp_path, monkeypatch, kills):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    images = images_of(0)
    run = sde_jax.fit(images, workdir=whole, minutes=0.01)
    assert (run.name, run.step) == ("fit", STEPS)
    for owner, name, after in kills:
        with monkeypatch.context() as patch:
            killed_in(patch, owner, name, after=after)
            with pytest.raises(Killed):
                sde_jax.fit(images, workdir=killed, minutes=0.01)
    moved = killed.rename(tmp_path / "moved")
    again = sde_jax.fit(images, workdir=moved, minutes=0.01)
    jax.tree.map(np.testing.assert_array_equal, again.params, run.params)
    check_finished(moved, images, monkeypatch)
    assert succeed("watch", moved)["state"] == "finished"
    if kills == KILLS:
        check_commands(moved)


def check_finished(folder, images, monkeypatch):
    """A finished run is opened; other images are refused."""
    with monkeypatch.context() as patch:
        killed_in(patch, fitting, "_default_experiment", after=0)
        assert sde_jax.fit(images, workdir=folder).step == STEPS
        with pytest.raises(ValueError, match="holds a run on other data: give another `workdir`"):
            sde_jax.fit(images_of(1), workdir=folder)


def check_commands(folder):
    """The commands take the run, which was moved."""
    assert succeed("sample", folder, "--count", 2, "--steps", 2)["step"] == STEPS
    assert succeed("likelihood", folder, "--count", 2)["count"] == 2


def test_a_tenth_is_held_out(tmp_path):
    images = np.arange(30).astype(np.uint8).reshape(30, 1, 1, 1) + np.zeros((8, 8, 1), np.uint8)
    source = given_array(images, None, tmp_path, "none").source
    assert source.sizes == {"train": 27, "test": 3}
    splits = {
        split: np.concatenate(
            [source.scaling.to_levels(b.x) for b in source.batches(jax.random.key(0), split, 3)]
        )
        for split in source.sizes
    }
    np.testing.assert_array_equal(
        np.sort(np.concatenate([*splits.values()])[:, 0, 0, 0]), np.arange(30)
    )


def test_a_run_reads_its_own_file(tmp_path):
    given = given_array(images_of(0), None, tmp_path / "there", "none")
    assert given.spec.in_run(tmp_path) == given.spec
    with pytest.raises(DataNotFoundError, match=r"data.npy is no file"):
        given.spec.load()
    np.save(tmp_path / "data.npy", images_of(0))
    found = given.spec.in_run(tmp_path)
    assert found.load().sizes == given.source.sizes
    assert found.layout().shape == (8, 8, 1)


def test_the_updates_fit_into_the_minutes(monkeypatch):
    """The second compilation and a share for evaluations are left out of them."""
    monkeypatch.setattr(fitting, "_seconds", lambda *_: (10.0, 0.5))
    monkeypatch.setattr(fitting.time, "perf_counter", lambda: 100.0)
    given = given_array(images_of(0), None, fitting.Path("x"), "none")
    experiment = fitting._default_experiment(given.spec, 36)
    steps = fitting._steps_until(685.0, experiment, given.source)
    assert steps == pytest.approx((685 - 100 - 10) / 1.15 / 0.5, abs=1)
    adapted = with_steps(experiment, 60)
    assert (adapted.training.steps, adapted.optimizer.warmup_steps) == (60, 6)


def test_updates_are_timed():
    experiment = dataclasses.replace(
        ring(),
        network=MLPSpec(width=8, depth=1),
        training=dataclasses.replace(ring().training, batch_size=16),
    )
    timing = SECONDS(experiment, experiment.data.load())
    assert timing[0] > timing[1] > 0


@pytest.mark.parametrize(
    ("images", "minutes", "complaint"),
    [
        (np.zeros((30, 4, 7, 1), np.uint8), 1, r"the longest at least 8: .* is \[4, 7, 1\]"),
        (np.zeros((30, 8, 8, 8, 8, 1)), 1, r"with one to three sizes.* \[8, 8, 8, 8, 1\]"),
        (np.zeros((19, 8, 8, 1), np.uint8), 1, "`data` must be at least 20 images: got 19"),
        (np.zeros((30, 8, 8, 1), np.uint8), 0, "`minutes` must be positive and finite: got"),
        (np.zeros((30, 8, 8, 1), np.uint8), np.nan, "`minutes` must be positive and finite"),
    ],
)
def test_images_that_cannot_be_fitted(tmp_path, images, minutes, complaint):
    with pytest.raises(ValueError, match=complaint):
        sde_jax.fit(images, workdir=tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_folders_of_others_are_refused(tmp_path, ring_run):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(RunExistsError, match="is not empty and holds no run"):
        sde_jax.fit(images_of(0), workdir=tmp_path)
    with pytest.raises(ValueError, match="holds a run on other data"):
        sde_jax.fit(images_of(0), workdir=ring_run)
