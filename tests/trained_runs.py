"""Tiny runs that the tests of the command line share; who changes one copies it."""

import dataclasses
import shutil

import pytest
from in_process import CLASSIFIER, RING, reproduce, run_command
from small_experiments import shrink_experiments
from tiny import tiny, write_run

from sde_jax.recipes import LikelihoodSettings, Named, SamplerSettings, built_in
from sde_jax.runs.catalogue import find


@pytest.fixture(scope="session")
def ring_training(tmp_path_factory):
    """The folder of a ring's run with checkpoints of steps 2 and 4, and how training it ended."""
    folder = tmp_path_factory.mktemp("ring") / "run"
    return folder, run_command("train", "ring", "--workdir", folder, "--resume", *RING)


@pytest.fixture(scope="session")
def ring_run(ring_training):
    """The folder alone."""
    return ring_training[0]


@pytest.fixture
def ring_copy(ring_run, tmp_path):
    """A copy that may be changed, without the times that others had fitted."""
    return shutil.copytree(ring_run, tmp_path / "copy", ignore=shutil.ignore_patterns("grids"))


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """The folder of a quickstart with four steps of one convolution, and how it ended."""
    folder = tmp_path_factory.mktemp("quickstart") / "run"
    whole = built_in.quickstart()
    small = dataclasses.replace(
        whole,
        network=find(tiny("digits")).experiment.network,
        optimizer=dataclasses.replace(whole.optimizer, warmup_steps=2),
        training=dataclasses.replace(
            whole.training, steps=4, batch_size=16, eval_every=2, eval_examples=16
        ),
        sampling=SamplerSettings(steps=6, tolerance=0.1),
        likelihood=LikelihoodSettings(t_min=0.01, tolerance=0.1),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(built_in, "quickstart", lambda: small)
        return folder, run_command("quickstart", "--workdir", folder)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """The folder of an untrained run of the quickstart, with a small network of the package."""
    whole = built_in.quickstart()
    network = dataclasses.replace(whole.network, channels=8, multipliers=(1,), blocks_per_level=1)
    small = Named("quickstart", dataclasses.replace(whole, network=network))
    return write_run(small, tmp_path_factory.mktemp("digits") / "run")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The folder of a run on images, as good as trained, whose network is one convolution."""
    return write_run(find(tiny("digits")), tmp_path_factory.mktemp("tiny") / "run", step=4)


@pytest.fixture(scope="session")
def classifier_training(tmp_path_factory):
    """The folder of a classifier's run, and how training it ended."""
    folder = tmp_path_factory.mktemp("classifier") / "run"
    return folder, run_command("train", "digits_classifier", "--workdir", folder, *CLASSIFIER)


@pytest.fixture(scope="session")
def classifier_run(classifier_training):
    """The folder alone."""
    return classifier_training[0]


@pytest.fixture
def small_experiments(monkeypatch):
    """Experiments of the digits are small."""
    shrink_experiments(monkeypatch)


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory):
    """The folder of runs of small experiments that are as good as trained, measured."""
    folder = tmp_path_factory.mktemp("reproduced")
    names = ("digits_classifier", "digits_vp", "digits_vae")
    with pytest.MonkeyPatch.context() as patch:
        shrink_experiments(patch)
        for name in names:
            named = find(name)
            write_run(named, folder / "runs" / name, named.experiment.training.steps)
        reproduce(*names, "--runs", folder / "runs", "--out", folder / "out")
    return folder / "runs"
