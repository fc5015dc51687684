"""Dequantizers: trained for a run of a score model, and used to measure it."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_process import refusal, succeed
from tiny import tiny, untrained

from sde_jax.data import Batch
from sde_jax.recipes import LikelihoodSettings
from sde_jax.runs import find, open_run
from sde_jax.runs.training import prepare, with_absolute_paths

VARIATIONAL = ("--protocol", "variational")


def test_a_dequantizer_is_found_beside_its_run_and_stays_in_the_bins(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    untrained("dequantizer", tmp_path / "dequantizer")
    run = open_run(tmp_path / "run")
    settings = LikelihoodSettings(protocol="variational", dequantizer="dequantizer")
    measurement = run.measurement(settings)
    values = np.linspace(-0.99, 0.99, 64)
    x = measurement.middles(jnp.asarray(values.reshape(8, 8, 1), jnp.float32))
    dequantizer = measurement.dequantizer(half_width=measurement.half_width)
    z, log_density = dequantizer(jax.random.key(0), run.experiment.sde, x)
    levels = np.ravel(run.layout.scaling.to_levels(z))
    np.testing.assert_array_equal(levels, np.floor((values + 1) / 2 * 17))
    assert log_density == pytest.approx(64 * np.log(17 / 2), rel=0.05)
    assert callable(run.density(settings))


def test_its_loss_is_that_of_the_run_beside_it(tiny_run, tmp_path):
    """Of each example, as it is traced."""
    shutil.copytree(tiny_run, tmp_path / "run")
    named = with_absolute_paths(find(tiny("dequantizer")), tmp_path / "dequantizer")
    learner = prepare(named.experiment).learner
    key, examples = jax.random.key(0), jax.ShapeDtypeStruct((4, 8, 8, 1), jnp.float32)
    state = jax.eval_shape(learner.init, key)
    losses = jax.eval_shape(learner.evaluate, state, key, Batch(examples, None))
    assert losses.shape == (4,)
    with pytest.raises(ValueError, match="no losses without a score"):
        without = named.experiment.learner((8, 8, 1))
        jax.eval_shape(without.evaluate, state, key, Batch(examples, None))


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
def test_the_command_names_the_protocol_and_takes_draws(tiny_run, tmp_path):
    """Two steps of training leave the noise near to uniform."""
    shutil.copytree(tiny_run, tmp_path / "run")
    results = succeed("train", tiny("dequantizer"), "--workdir", tmp_path / "dequantizer")
    assert results["step"] == 2 and np.isfinite(results["held_out_loss"])
    options = ("likelihood", tmp_path / "run", "--steps", 16, "--count", 16)
    uniform = succeed(*options)
    one, ten = (
        succeed(*options, *VARIATIONAL, "--dequantizer", "dequantizer", "--samples", samples)
        for samples in (1, 10)
    )
    assert one["protocol"] == "variational"
    assert one["measures"] == "bound on the probability of grey levels"
    assert abs(one["bits_per_dim"] - uniform["bits_per_dim"]) < 0.2
    assert ten["bits_per_dim"] < one["bits_per_dim"] + 0.01
