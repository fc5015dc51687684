"""Importance weights: by hand, and of samples whose densities are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.likelihood import importance_weights


def test_three_samples_by_hand():
    """Ratios 2, 1 and 1, whatever the constants: weights 1/2, 1/4 and 1/4, effective size 8/3."""
    log_model = jnp.asarray([-1.0, -2.0, 0.5])
    log_target = log_model + jnp.log(jnp.asarray([2.0, 1.0, 1.0]))
    found = importance_weights(log_model, log_target)
    np.testing.assert_allclose(found.weights, [0.5, 0.25, 0.25], rtol=1e-6)
    assert found.effective_sample_size == pytest.approx(8 / 3, rel=1e-6)
    assert found.log_normalizer == pytest.approx(np.log(4 / 3), rel=1e-6)
    for constant in (-2e4, 2e4):
        shifted = importance_weights(log_model, log_target + constant)
        np.testing.assert_allclose(shifted.weights, found.weights, rtol=1e-2)
        assert shifted.log_normalizer == pytest.approx(constant + np.log(4 / 3), rel=1e-6)


def test_a_density_up_to_a_constant_has_equal_weights():
    log_model = jnp.linspace(-5.0, 1.0, 7)
    found = importance_weights(log_model, log_model + 3.0)
    assert found.effective_sample_size == pytest.approx(7, rel=1e-5)
    assert found.log_normalizer == pytest.approx(3, rel=1e-5)


def test_a_sample_outside_the_support_counts_for_nothing():
    found = importance_weights(jnp.zeros(4), jnp.asarray([-jnp.inf, 0.0, 0.0, -jnp.inf]))
    np.testing.assert_array_equal(found.weights, [0, 0.5, 0.5, 0])
    assert found.effective_sample_size == 2


def test_a_gaussian_reweighted_to_another(key):
    """``E[w] / E[w^2]`` of N(.3, 1) under N(0, 1) is ``exp(-.09)``; the mean becomes .3."""
    x, count = jax.random.normal(key, (20_000,)), 20_000
    found = importance_weights(-0.5 * x**2, -0.5 * (x - 0.3) ** 2)
    assert found.effective_sample_size / count == pytest.approx(np.exp(-0.09), abs=0.01)
    assert jnp.sum(found.weights * x) == pytest.approx(0.3, abs=5 * 1.1 / np.sqrt(count))
    assert found.log_normalizer == pytest.approx(0.0, abs=5 * 0.31 / np.sqrt(count))


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((3, 1), (3, 1)), ((0,), (0,)), ((), ())])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"^`log_model` and `log_target` must be one number for"):
        importance_weights(*map(jnp.zeros, shapes))
