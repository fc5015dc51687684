"""The transition between two times, and the reversed drifts."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
from cases import SDES, each_name, each_sde_slowly
from scipy.integrate import quad

from sde_jax.sde import probability_flow_drift, reverse_drift, transition


@each_sde_slowly
def test_transitions_compose(sde):
    with jax.enable_x64(True):
        s, u, t = (jnp.asarray(time) for time in (0.05, 0.4, 0.83))
        first, second, whole = transition(sde, s, u), transition(sde, u, t), transition(sde, s, t)
        np.testing.assert_allclose(first.scale * second.scale, whole.scale, rtol=1e-12)
        composed = second.scale**2 * first.variance + second.variance
        np.testing.assert_allclose(composed, whole.variance, rtol=1e-12)


@each_sde_slowly
def test_a_transition_carries_the_marginal_forward(sde):
    with jax.enable_x64(True):
        s, t = jnp.asarray(0.2), jnp.asarray(0.9)
        scale, variance, _ = transition(sde, s, t)
        np.testing.assert_allclose(scale * sde.alpha(s), sde.alpha(t), rtol=1e-12)
        carried = scale**2 * sde.sigma(s) ** 2 + variance
        np.testing.assert_allclose(carried, sde.sigma(t) ** 2, rtol=1e-12)


@each_name
def test_a_transition_agrees_with_numerical_integration(name):
    process, s, t = oracles.PROCESSES[name], 0.3, 0.6
    with jax.enable_x64(True):
        scale, variance, _ = transition(SDES[name], jnp.asarray(s), jnp.asarray(t))

    def added(u):
        return np.exp(2 * quad(process.rate, u, t)[0]) * process.diffusion_squared(u)

    np.testing.assert_allclose(scale, np.exp(quad(process.rate, s, t)[0]), rtol=1e-7)
    np.testing.assert_allclose(variance, quad(added, s, t)[0], rtol=1e-7)


@each_sde_slowly
def test_float32_transition_over_one_step_of_a_thousand(sde):
    t = jnp.linspace(0.002, 1.0, 400)
    s = t - 0.001
    scale, variance, _ = transition(sde, s, t)
    with jax.enable_x64(True):
        wide_t, wide_s = jnp.asarray(np.float64(t)), jnp.asarray(np.float64(s))
        exact = transition(sde, wide_s, wide_t)
    np.testing.assert_allclose(scale, exact.scale, rtol=1e-5)
    np.testing.assert_allclose(variance, exact.variance, rtol=2e-3)


@each_name
def test_reversed_drifts_for_one_time_and_for_many(name):
    sde, process = SDES[name], oracles.PROCESSES[name]
    times = np.array([0.1, 0.9])
    rng = np.random.default_rng(0)
    x, score = rng.normal(size=(2, 2, 3))
    with jax.enable_x64(True):
        arguments = jnp.asarray(x), jnp.asarray(times), jnp.asarray(score)
        backward, flow = reverse_drift(sde, *arguments), probability_flow_drift(sde, *arguments)
        one = reverse_drift(sde, jnp.asarray(x), jnp.asarray(times[1]), jnp.asarray(score))
    for i, t in enumerate(times):
        rate, diffusion_squared = process.rate(t), process.diffusion_squared(t)
        np.testing.assert_allclose(
            backward[i], rate * x[i] - diffusion_squared * score[i], rtol=1e-7
        )
        np.testing.assert_allclose(
            flow[i], rate * x[i] - diffusion_squared * score[i] / 2, rtol=1e-7
        )
    np.testing.assert_allclose(one[1], backward[1], rtol=1e-12)
