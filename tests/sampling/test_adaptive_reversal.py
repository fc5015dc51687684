"""The reversed SDE, solved adaptively: laws, one Brownian path, cost, failures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, gaussian, keys

from sde_jax.sampling import AdaptiveReversal
from sde_jax.sampling.brownian import BrownianTree
from sde_jax.score import GaussianMixture, MixtureScore

COUNT = 100
MEANS = np.array([0.7, -0.3])
COVARIANCE = np.array([[0.16, 0.05], [0.05, 0.04]])


def correlated():
    return GaussianMixture.from_covariances(
        jnp.ones(1), jnp.asarray(MEANS)[None], jnp.asarray(COVARIANCE)[None]
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def draw(sampler, sde, keys):
    return sampler(keys, MixtureScore(correlated(), sde), sde, (2,))


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("shark", "vp"),
        pytest.param("sra1", "ve", marks=pytest.mark.slow),
        pytest.param("heun", "subvp", marks=pytest.mark.slow),
    ],
)
def test_samples_have_the_datas_law(method, name, key):
    """Mean and covariance to 5 standard errors of 100; the error of tolerance .1 is below."""
    sampler = AdaptiveReversal(
        method=method, rtol=0.1, atol=0.02, t_min=0.01 if name == "subvp" else None
    )
    samples = draw(sampler, SDES[name], keys(key, COUNT))
    x = np.asarray(samples.x, np.float64)
    assert samples.converged.all() and (samples.nfe > 5).all()
    variances = np.diag(COVARIANCE)
    assert (np.abs(x.mean(0) - MEANS) < 5 * np.sqrt(variances / len(x))).all()
    spread = np.outer(variances, variances) + COVARIANCE**2
    assert (np.abs(np.cov(x.T) - COVARIANCE) < 5 * np.sqrt(spread / len(x))).all()


@pytest.mark.slow("test_a_sample_and_its_cost_do_not_depend_on_the_others")
def test_a_finer_tolerance_follows_the_same_path(key):
    """Samples of a key are one at all tolerances: its noise does not hang on the steps."""
    sde, all_keys = SDES["vp"], keys(key, 8)
    rough, fine, finest = (
        draw(AdaptiveReversal(rtol=tolerance, atol=tolerance), sde, all_keys)
        for tolerance in (0.5, 0.05, 0.01)
    )
    errors = [float(jnp.sqrt(((s.x - finest.x) ** 2).mean())) for s in (rough, fine)]
    assert errors[0] < 0.2 and errors[1] < errors[0] / 3, errors
    assert (rough.nfe < fine.nfe).all()
    assert len(set(np.asarray(fine.nfe))) > 1


def test_a_sample_and_its_cost_do_not_depend_on_the_others(key):
    """Bitwise, in one program.

    Steps and a Brownian path amplify rounding, an error e of a time to sqrt(e) of the path, so that
    programs which round differently agree up to the tolerance only.
    """
    sampler, sde, all_keys = AdaptiveReversal(rtol=0.1, atol=0.02), SDES["vp"], keys(key, COUNT)
    drawn = draw(sampler, sde, all_keys)
    others = draw(sampler, sde, keys(jax.random.fold_in(key, 1), COUNT).at[5].set(all_keys[3]))
    np.testing.assert_array_equal(others.x[5], drawn.x[3])
    assert others.nfe[5] == drawn.nfe[3]
    assert (np.asarray(others.x[0]) != np.asarray(drawn.x[0])).all()


@pytest.mark.parametrize(
    ("frames", "denoise"),
    [
        pytest.param(frames, denoise, marks=pytest.mark.slow("test_samples_have_the_datas_law"))
        for frames, denoise in ((0, False), (2, True))
    ],
)
def test_nfe_is_the_number_of_calls_and_frames_lead_to_the_sample(frames, denoise, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return gaussian().score(sde, x, t)

    sampler = AdaptiveReversal(rtol=0.5, atol=0.1, frames=frames, denoise=denoise)
    samples = jax.jit(lambda keys: sampler(keys, score, sde, (1,)))(keys(key, 1))
    jax.effects_barrier()
    np.testing.assert_array_equal(samples.nfe, [len(calls)])
    if frames:
        assert samples.trajectory.shape == (1, 3, 1)
        np.testing.assert_array_equal(samples.trajectory[:, -1], samples.x)
        np.testing.assert_allclose(samples.trajectory_times[0], [1.0, 0.5, 0.0], atol=0.01)


@pytest.mark.slow("tests/sampling/test_blind.py::test_what_does_not_end_is_reported")
def test_a_failed_solve_is_reported_for_its_sample_only(key):
    sde = SDES["vp"]

    def score(x, t):
        return jnp.where((x > 1.0) & (t < 0.05), jnp.nan, gaussian().score(sde, x, t))

    samples = jax.jit(
        lambda keys: AdaptiveReversal(rtol=0.2, max_steps=200)(keys, score, sde, (1,))
    )(keys(key, 16))
    assert 0 < samples.converged.sum() < 16
    assert jnp.isfinite(samples.x[samples.converged]).all()


@pytest.mark.slow("test_samples_have_the_datas_law")
def test_the_brownian_tree_has_the_law_of_brownian_motion(key):
    """Increments in any order: variances are lengths, and what does not overlap is independent."""

    def increments(key):
        tree = BrownianTree((1,), key, tol=1e-3)
        return jnp.stack([tree.evaluate(a, b)[0] for a, b in [(0.5, 0.9), (0.1, 0.3), (0.0, 1.0)]])

    found = np.asarray(jax.jit(jax.vmap(increments))(keys(key, 2000)), np.float64)
    expected = np.array([[0.4, 0.0, 0.4], [0.0, 0.2, 0.2], [0.4, 0.2, 1.0]])
    spread = np.outer(np.diag(expected), np.diag(expected)) + expected**2
    assert (np.abs(np.cov(found.T) - expected) < 5 * np.sqrt(spread / 2000)).all()


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`method` must be one of shark, sra1, heun: got "):
        AdaptiveReversal(method="euler")
    for name, rule in (("rtol", "positive"), ("atol", "positive"), ("max_steps", "at least 1")):
        with pytest.raises(ValueError, match=rf"^`{name}` must be {rule}: got {name}=0\.$"):
            AdaptiveReversal(**{name: 0})
    with pytest.raises(ValueError, match=r"^`frames` must not be negative: got frames=-1\.$"):
        AdaptiveReversal(frames=-1)
    with pytest.raises(ValueError, match=r"^`t_min` must be None or in"):
        AdaptiveReversal(t_min=1.5)
