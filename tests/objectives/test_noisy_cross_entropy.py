"""The cross-entropy of noisy data where its least value is known, and what it is taken of."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.integrate
from cases import SDES, each_name_slowly, line_mixture, oracle_of
from posterior_network import Outputs, log_posterior, params_of, posterior_model

from sde_jax.arrays import strided_parts
from sde_jax.objectives import DiscreteTimes, LikelihoodTimes, NoisyCrossEntropy, UniformTimes
from sde_jax.randomness import example_seeds
from sde_jax.score import ClassifierModel, ScaledTime
from sde_jax.sde import VP

MIXTURE = oracle_of(line_mixture())
T_MIN, BATCHES, SIZE = 0.01, 64, 512


def labelled(key, count):
    """Examples of the mixture and which component each comes from."""
    key_label, key_noise = jax.random.split(key)
    label = jax.random.categorical(key_label, jnp.log(line_mixture().weights), shape=(count,))
    noise = jax.random.normal(key_noise, (count, 1))
    return line_mixture().means[label] + jnp.sqrt(line_mixture().variances[label]) * noise, label


def conditional_entropy(name, nodes=24):
    """``H(label | x_t)`` in nats, its mean over t uniform on [T_MIN, 1], by quadrature."""
    process, total = oracles.PROCESSES[name], 0.0
    points, weights = np.polynomial.legendre.leggauss(nodes)
    for point, weight in zip(points, weights, strict=True):
        t = T_MIN + (1 - T_MIN) * (point + 1) / 2
        noised = MIXTURE.noised(process.alpha(t), process.sigma(t))
        mean, deviation = noised.moments()
        x = mean + deviation * np.linspace(-9, 9, 2001)[:, None]
        posterior = log_posterior(noised, x)
        entropy = -(np.exp(posterior) * posterior).sum(axis=1)
        integrand = entropy * np.exp(noised.log_density(x))
        total += weight / 2 * scipy.integrate.trapezoid(integrand, x[:, 0])
    return total


def variants():
    """The exact parameters, and others that are no posterior, by name and stacked."""
    exact = params_of(MIXTURE)
    found = {
        "exact": exact,
        "weights": {**exact, "weights": exact["weights"][::-1]},
        "means": {**exact, "means": exact["means"] + 0.5},
        "covariances": {**exact, "covariances": 10 * exact["covariances"]},
    }
    return list(found), jax.tree.map(lambda *leaves: jnp.stack(leaves), *found.values())


def mean_losses(objective, key):
    """The mean loss of each of BATCHES batches under each of `variants`, same noise for all."""
    names, stacked = variants()

    @jax.jit
    @jax.vmap
    def of_batch(key):
        key_data, key_loss = jax.random.split(key)
        x0, label = labelled(key_data, SIZE)
        seeds = example_seeds(key_loss, SIZE)
        losses = jax.vmap(lambda params: objective.losses(params, seeds, x0, label))(stacked)
        return losses.mean(axis=1)

    losses = np.asarray(of_batch(jax.random.split(key, BATCHES)), np.float64)
    return dict(zip(names, losses.T, strict=True))


def z_score(values, expected):
    return (values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(values)))


UNIFORM, OF_LIKELIHOOD = UniformTimes(t_min=T_MIN), LikelihoodTimes(t_min=T_MIN)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("vp", OF_LIKELIHOOD),
        *(pytest.param(name, UNIFORM, marks=pytest.mark.slow) for name in SDES),
    ],
)
def test_the_exact_posterior_costs_the_conditional_entropy_and_others_more(name, times, key):
    """Within 5 standard errors over 64 batches of 512; others by more than 5, at equal noise."""
    objective = NoisyCrossEntropy(model=posterior_model(SDES[name]), times=times)
    losses = mean_losses(objective, key)
    exact = losses.pop("exact")
    z = z_score(exact, conditional_entropy(name))
    assert abs(z) < 5, z
    for which, values in losses.items():
        z = z_score(values - exact, 0.0)
        assert z > 5, (which, z)


class Spelled(nn.Module):
    """Three classes: the log probability of the first is what it is shown, divided by 40, minus 2,
    and of the second so what it is told."""

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        spelled = jnp.stack([x[:, 0], time], axis=1) / 40 - 2
        rest = jnp.log1p(-jnp.exp(spelled).sum(axis=1, keepdims=True))
        return Outputs(jnp.concatenate([spelled, rest], axis=1))


@each_name_slowly
def test_the_network_sees_alpha_x0_plus_sigma_noise(name, key):
    """The residual over sigma is unit noise at each time, independent of x0, n = 8192."""
    process, (key_data, key_loss) = oracles.PROCESSES[name], jax.random.split(key)
    model = ClassifierModel(
        network=Spelled(),
        sde=SDES[name],
        time_condition=ScaledTime(scale=1.0),
        data_deviation=0.7,
    )
    objective = NoisyCrossEntropy(model=model, times=DiscreteTimes(levels=4))

    @jax.jit
    def spelled():
        x0, _ = labelled(key_data, 4 * 8192)
        seeds = example_seeds(key_loss, len(x0))
        return x0, [objective.losses({}, seeds, x0, jnp.full(len(x0), label)) for label in (0, 1)]

    x0, losses = spelled()
    x0 = np.asarray(x0)
    shown, told = 40 * (2 - np.asarray(losses, np.float64))
    told = np.round(3 * told, 3)
    assert set(told) == {0, 1, 2, 3}
    for level in (0, 1, 2, 3):
        at = told == level
        clean = np.asarray(x0[at, 0], np.float64)
        alpha, sigma = process.alpha(level / 3), process.sigma(level / 3) if level else 0.0
        sigma = sigma or process.initial_variance**0.5
        residual = shown[at] * np.hypot(0.7 * alpha, sigma) - alpha * clean
        if sigma == 0:
            np.testing.assert_allclose(residual, 0, atol=1e-4)
            continue
        noise, n = residual / sigma, at.sum()
        centred = (clean - clean.mean()) / clean.std()
        for what, z in {
            "mean": noise.mean() * np.sqrt(n),
            "variance": ((noise**2).mean() - 1) * np.sqrt(n / 2),
            "covariance with x0": (noise * centred).mean() * np.sqrt(n),
        }.items():
            assert abs(z) < 5, (level, what, z)


class Dropping(nn.Module):
    """Logits that are noise where dropout is on, and else even."""

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        if deterministic:
            return Outputs(jnp.zeros((len(x), 2)))
        return Outputs(jax.random.normal(self.make_rng("dropout"), (len(x), 2)))


def of_parts(model, params, key, deterministic):
    """The losses of twelve examples, and of each half of them."""
    objective = NoisyCrossEntropy(model=model)

    @jax.jit
    def losses(key):
        key_data, key_loss = jax.random.split(key)
        given = (example_seeds(key_loss, 12), *labelled(key_data, 12))
        parts = [given, *strided_parts(given, 2)]
        return [objective.losses(params, *part, deterministic=deterministic) for part in parts]

    return losses(key)


def test_parts_are_those_of_the_whole(key):
    whole, *parts = of_parts(posterior_model(VP()), params_of(MIXTURE), key, True)
    for index, part in enumerate(parts):
        np.testing.assert_allclose(part, whole[index::2], rtol=1e-5)


def test_dropout_is_off_on_demand_and_of_each_part_its_own(key):
    model = ClassifierModel(network=Dropping(), sde=VP())
    whole, *_ = of_parts(model, {}, key, True)
    np.testing.assert_allclose(whole, np.log(2), rtol=1e-6)
    whole, *parts = of_parts(model, {}, key, False)
    assert len(np.unique(whole)) == len(np.unique(np.concatenate(parts))) == 12
