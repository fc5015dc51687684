"""Consistency in continuous time, against exact flows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import each_sde_slowly

from sde_jax.nets import MLPSpec
from sde_jax.objectives import Consistency, example_seeds
from sde_jax.score import (
    GaussianMixture,
    LogNoiseLevel,
    MixtureScore,
    NetworkScore,
    ScoreModel,
    VelocityPrediction,
    denoised,
    gaussian_flow,
    quantile_flow,
)
from sde_jax.sde import VP

MIXTURE = GaussianMixture(
    jnp.array([0.3, 0.7]), jnp.array([[-1.0], [0.8]]), jnp.array([[0.04], [0.09]])
)
DEVIATION = 0.87
GAUSSIAN = GaussianMixture(jnp.ones(1), jnp.array([[0.7]]), jnp.array([[0.16]]))


class Wave(nn.Module):
    """A function of its input and time."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        time = time[:, None]
        return jnp.sin(3 * x + time) + 0.2 * x * time


class Affine(nn.Module):
    """An affine function of its input, with coefficients that depend on time."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        h = nn.swish(nn.Dense(32)(time[:, None]))
        slope, shift = jnp.split(nn.Dense(2)(nn.swish(nn.Dense(32)(h))), 2, axis=1)
        return slope * x + shift


def objective(network, sde, deviation, **options):
    model = ScoreModel(
        network=network,
        sde=sde,
        parameterization=VelocityPrediction(),
        time_condition=LogNoiseLevel(**options),
        data_deviation=deviation,
    )
    return Consistency(model=model, deviation=deviation)


@each_sde_slowly
def test_tangent_is_the_derivative_along_the_exact_flow(sde):
    """``cos(u) df/du`` by central differences of the jump along the flow of a mixture."""
    consistency = objective(Wave(), sde, 0.7)

    def jump(x, t):
        return denoised(NetworkScore({}, consistency.model), sde, x, t) / 0.7

    with jax.enable_x64(True):
        x = np.linspace(-1.5, 1.7, 5)[:, None] * np.ones((1, 1))
        angles = np.arctan(np.array([0.05, 0.3, 1.0, 4.0, 9.0]) / 0.7)

        def time(angle):
            return sde.time_of(jnp.asarray(0.7 * np.tan(angle)))

        def moved(angle, to):
            ends = zip(x[:, 0], time(angle), time(to), strict=True)
            return jnp.stack([quantile_flow(MIXTURE, sde, p[None], t, s) for p, t, s in ends])

        step = 1e-4 * np.cos(angles) * np.sin(angles)
        later, earlier = (
            jump(moved(angles, to), time(to)) for to in (angles + step, angles - step)
        )
        expected = np.cos(angles)[:, None] * (later - earlier) / (2 * step[:, None])

        z = x / consistency.flow.scale(time(angles))[:, None]
        slope = consistency.flow.velocity(MixtureScore(MIXTURE, sde), z, angles)
        _, tangent = jax.jit(consistency.tangent)({}, z, angles, slope)
    np.testing.assert_allclose(tangent, expected, rtol=1e-5, atol=1e-6)


def test_loss_without_consistency_regresses_on_the_velocity():
    """Then a step of the output goes against the error of the velocity, of at most unit length."""
    consistency = objective(Wave(), VP(), 0.7)
    rng = np.random.default_rng(0)
    z, slope = rng.normal(size=(2, 6, 3)).astype(np.float32)
    angle = np.linspace(0.1, 1.5, 6, dtype=np.float32)
    velocity, tangent = consistency.tangent({}, z, angle, slope, 0.0)
    np.testing.assert_allclose(tangent, np.cos(angle)[:, None] ** 2 * (slope - velocity), atol=1e-5)
    size = np.sqrt((np.asarray(tangent) ** 2).mean(axis=1))
    losses = consistency.losses_at({}, z, angle, slope, 0.0)
    np.testing.assert_allclose(losses, (size / (size + 0.1)) ** 2, rtol=1e-5)


def trained(consistency, mixture, steps):
    """Parameters of a student of the exact score, averaged over training."""
    model, teacher = consistency.model, MixtureScore(mixture, consistency.model.sde)
    params = model.init(jax.random.key(0), (1,))
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    def update(carry, step):
        params, averaged, state = carry
        key_data, key = jax.random.split(jax.random.fold_in(jax.random.key(1), step))
        seeds, share = example_seeds(key, 256), jnp.minimum(4 * step / steps, 1)
        x0 = mixture.sample(key_data, 256)

        def loss(params):
            return consistency.losses(params, seeds, x0, teacher, share).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        params = optax.apply_updates(params, updates)
        averaged = jax.tree.map(lambda old, new: 0.99 * old + 0.01 * new, averaged, params)
        return (params, averaged, state), None

    carry = (params, params, optimizer.init(params))
    return jax.jit(lambda carry: jax.lax.scan(update, carry, jnp.arange(steps))[0])(carry)[1]


def relative_error(consistency, params, exact, deviation):
    """Root mean square distance of jumps from the prior to their exact ends, over the deviation."""
    x = jax.random.normal(jax.random.key(2), (1000, 1))
    jumped = denoised(NetworkScore(params, consistency.model), VP(), x, jnp.asarray(1.0))
    return float(jnp.sqrt(jnp.mean((jumped - exact(x)) ** 2))) / deviation


def test_student_of_a_gaussian_converges_to_the_exact_map():
    consistency = objective(Affine(), VP(), 0.4, scale=0.25)
    params = trained(consistency, GAUSSIAN, steps=1000)

    def exact(x):
        return gaussian_flow(GAUSSIAN, VP(), x, jnp.asarray(1.0), jnp.asarray(0.0))

    assert relative_error(consistency, params, exact, 0.4) < 0.02


@pytest.mark.slow("test_student_of_a_gaussian_converges_to_the_exact_map")
def test_student_of_a_mixture_converges_to_the_exact_map():
    consistency = objective(MLPSpec(width=64, depth=2).build(), VP(), DEVIATION, scale=2.0)
    params = trained(consistency, MIXTURE, steps=7000)

    def exact(x):
        return quantile_flow(MIXTURE, VP(), x[:, 0], jnp.asarray(1.0), jnp.asarray(1e-6))[:, None]

    assert relative_error(consistency, params, exact, DEVIATION) < 0.05
