"""Dequantizers: trained for a run of a score model, and used to measure it."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_process import refusal, succeed
from tiny import tiny

from sde_jax.recipes import LikelihoodSettings
from sde_jax.runs import open_run

VARIATIONAL = ("--protocol", "variational")


@pytest.fixture(scope="module")
def trained(tiny_run, tmp_path_factory):
    """The folder of a score model's run and of its dequantizer, which was trained."""
    folder = tmp_path_factory.mktemp("dequantized")
    shutil.copytree(tiny_run, folder / "run")
    results = succeed("train", tiny("dequantizer"), "--workdir", folder / "dequantizer")
    assert results["step"] == 2 and np.isfinite(results["held_out_loss"])
    return folder


def test_a_dequantizer_is_found_beside_its_run_and_stays_in_the_bins(trained):
    run = open_run(trained / "run")
    settings = LikelihoodSettings(protocol="variational", dequantizer="dequantizer")
    measurement = run.measurement(settings)
    x = measurement.middles(jnp.linspace(-0.99, 0.99, 64).reshape(8, 8, 1))
    dequantizer = measurement.dequantizer(half_width=measurement.half_width)
    z, log_density = dequantizer(jax.random.key(0), run.experiment.sde, x)
    levels = np.ravel(run.layout.scaling.to_levels(z))
    np.testing.assert_array_equal(levels, np.arange(64) * 17 // 64)
    assert log_density == pytest.approx(64 * np.log(17 / 2), rel=0.02)
    assert callable(run.density(settings))


REFUSED = {
    "missing": (["--dequantizer", "nothing"], "there is no run nothing, nor one beside"),
    "none": ([], "`dequantizer` names its run"),
    "another": (["--dequantizer", "run"], "must be the run of a dequantizer"),
}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] if name != "missing" else [])
        for name, case in REFUSED.items()
    ],
)
def test_what_is_no_dequantizer_is_refused(tiny_run, options, complaint):
    assert complaint in refusal("likelihood", tiny_run, *VARIATIONAL, *options)


@pytest.mark.slow("test_what_is_no_dequantizer_is_refused")
def test_a_score_of_other_data_is_refused(ring_run, tmp_path):
    arguments = ("train", tiny("dequantizer"), "--workdir", tmp_path / "new", "--score")
    assert "is of data of another kind" in refusal(*arguments, ring_run)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow("test_a_dequantizer_is_found_beside_its_run_and_stays_in_the_bins")
def test_the_command_names_the_protocol_and_takes_draws(trained):
    """Two steps of training leave the noise near to uniform."""
    options = ("likelihood", trained / "run", "--steps", 16, "--count", 16)
    uniform = succeed(*options)
    one, ten = (
        succeed(*options, *VARIATIONAL, "--dequantizer", "dequantizer", "--samples", samples)
        for samples in (1, 10)
    )
    assert one["protocol"] == "variational"
    assert one["measures"] == "bound on the probability of grey levels"
    assert abs(one["bits_per_dim"] - uniform["bits_per_dim"]) < 0.2
    assert ten["bits_per_dim"] < one["bits_per_dim"] + 0.01
