"""Times fitted to a run: kept under what they depend on, fitted again for other weights."""

import errno
import json

import jax
import numpy as np
import pytest
from in_process import refusal, run_command

from sde_jax.runs import fitted_grids, open_run
from sde_jax.sampling import FittedGrid

OPTIONS = ("--sampler", "unipc", "--steps", 3, "--count", 4)
NAME = "unipc-steps3-gridfitted"


@pytest.fixture
def fits(monkeypatch):
    """Replaces the fit by one that depends on the weights; returns the list of its calls."""
    calls = []

    def fit_grid(keys, score, sde, shape, sampler):
        calls.append(len(keys))
        size = float(sum(np.abs(array).sum() for array in jax.tree.leaves(score)))
        return FittedGrid(levels=(5.0, 1.0, 0.1 + 0.1 * size % 0.3))

    monkeypatch.setattr(fitted_grids, "fit_grid", fit_grid)
    return calls


def sampled(run, out, *options):
    outcome = run_command("sample", run, *OPTIONS, "--out", out, *options)
    assert outcome.code in (0, None), outcome.stderr
    with np.load(out) as file:
        return outcome.stderr, file["samples"]


def test_few_steps_are_fitted_by_default_once(ring_copy, tmp_path):
    """With the real fit; later samples are those of the stored times."""
    told, first = sampled(ring_copy, tmp_path / "first.npz")
    assert "Fitted the times of 3 steps to the network" in told
    levels = json.loads((ring_copy / "grids" / f"{NAME}.json").read_text())["levels"]
    assert len(levels) == 3
    outcome = run_command("sample", ring_copy, *OPTIONS, "--grid", "fitted")
    assert "Fitted the times" not in outcome.stderr
    out = ring_copy / "samples" / f"{NAME}-at4-seed0-count4.npz"
    np.testing.assert_array_equal(np.load(out)["samples"], first)


def grid_of(run, state=None):
    settings = run.experiment.sampling.switched("unipc")
    return fitted_grids.fitted_grid(
        run.directory, run.experiment, state or run.state, settings, (2,)
    )


def test_other_weights_have_another_grid(ring_copy, fits, capfd):
    run = open_run(ring_copy)
    first = grid_of(run)
    assert grid_of(run) == first and fits == [32]
    assert "again" not in capfd.readouterr().err
    other = run.state._replace(ema_params=jax.tree.map(lambda x: 1.1 * x, run.state.ema_params))
    second = grid_of(run, other)
    assert second != first and grid_of(run, other) == second and len(fits) == 2
    (line,) = [one for one in capfd.readouterr().err.splitlines() if "again" in one]
    assert line.endswith("was fitted to other weights or by another version: fitting again.")


def test_a_network_in_bfloat16_has_the_times_of_float32(ring_copy, tmp_path, fits):
    for dtype in ("bfloat16", "float32"):
        sampled(ring_copy, tmp_path / f"{dtype}.npz", "--compute-dtype", dtype)
    assert [path.name for path in (ring_copy / "grids").iterdir()] == [f"{NAME}.json"]
    assert len(fits) == 1


def test_a_damaged_grid_is_fitted_again(ring_copy, fits, capfd):
    run = open_run(ring_copy)
    first = grid_of(run)
    (path,) = (ring_copy / "grids").iterdir()
    whole = json.loads(path.read_text())
    for content in ("{", "[]", json.dumps({**whole, "levels": [1.0, 2.0]})):
        path.write_text(content)
        assert grid_of(run) == first
        assert f"{path} is damaged: fitting again." in capfd.readouterr().err
    assert len(fits) == 4


def test_a_run_that_cannot_be_written_is_sampled(ring_copy, tmp_path, fits, monkeypatch):
    def refuse(path, value):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(fitted_grids, "write_json", refuse)
    told, _ = sampled(ring_copy, tmp_path / "samples.npz")
    assert "cannot be written (Read-only file system): the next call fits again." in told
    assert not (ring_copy / "grids").exists()


def test_a_kill_while_fitting_leaves_nothing(ring_copy, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitted_grids, "fit_grid", stop)
    assert run_command("sample", ring_copy, *OPTIONS, "--out", tmp_path / "x.npz").code
    assert not (ring_copy / "grids").exists()


def test_noise_cannot_be_fitted(ring_copy):
    complaint = refusal("sample", ring_copy, "--sampler", "sde-dpm++2m", "--grid", "fitted")
    assert "`grid` must not be fitted, since the sampler adds noise" in complaint
