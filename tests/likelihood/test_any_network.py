"""Densities of a Gaussian by networks of each library that predict data, noise or velocity.

The networks are exact: a first layer turns to the principal axes, each axis is shrunk to the
posterior mean, and a second layer turns back.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import keys
from scipy.stats import multivariate_normal

from sde_jax.likelihood import ExactTrace, MultistepLikelihood, even_times
from sde_jax.score import (
    DataPrediction,
    FunctionNetwork,
    NetworkScore,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    VelocityPrediction,
)
from sde_jax.sde import VP

SDE, T_MIN = VP(), 1e-3
MEAN, VARIANCES = np.array([0.4, -0.3]), np.array([0.5, 0.05])
AXES = np.array([[0.6, -0.8], [0.8, 0.6]])
LAYERS = {"first": (AXES, -MEAN @ AXES), "second": (AXES.T, MEAN)}


def prediction(kind, first, second, x, time):
    """What a network of ``kind`` predicts, by two layers."""
    alpha, sigma = SDE.alpha(time)[:, None], SDE.sigma(time)[:, None]
    variances = jnp.asarray(VARIANCES, x.dtype)[None]
    data = second(first(x / alpha) * variances / (variances + (sigma / alpha) ** 2))
    noise = (x - alpha * data) / sigma
    return {"data": data, "noise": noise, "velocity": alpha * noise - sigma * data}[kind]


def parameters():
    return {
        name: {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
        for name, (kernel, bias) in LAYERS.items()
    }


def by_function(kind):
    def network(params, x, time):
        def layer(name):
            return lambda x: x @ params[name]["kernel"] + params[name]["bias"][None]

        return prediction(kind, layer("first"), layer("second"), x, time)

    return FunctionNetwork(network), parameters()


def by_linen(kind):
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            first, second = (nn.Dense(2, name=name) for name in LAYERS)
            return prediction(kind, first, second, x, time)

    return Network(), parameters()


def by_nnx(kind):
    nnx = pytest.importorskip("flax.nnx", reason="Flax NNX is not installed")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)
            for name, own in parameters().items():
                getattr(self, name).kernel = nnx.Param(own["kernel"])
                getattr(self, name).bias = nnx.Param(own["bias"])

        def __call__(self, x, time):
            return prediction(kind, self.first, self.second, x, time)

    graph, params = nnx.split(Network(nnx.Rngs(0)))
    return FunctionNetwork(lambda params, *args: nnx.merge(graph, params)(*args)), params


def by_equinox(kind):
    eqx = pytest.importorskip("equinox", reason="Equinox is not installed")

    class Network(eqx.Module):
        first: eqx.nn.Linear
        second: eqx.nn.Linear

        def __call__(self, x, time):
            return prediction(kind, jax.vmap(self.first), jax.vmap(self.second), x, time)

    def linear(own):
        empty = eqx.nn.Linear(2, 2, key=jax.random.key(0))
        return eqx.tree_at(
            lambda one: (one.weight, one.bias), empty, (own["kernel"].T, own["bias"])
        )

    network = Network(**{name: linear(own) for name, own in parameters().items()})
    params, static = eqx.partition(network, eqx.is_array)
    return FunctionNetwork(lambda params, *args: eqx.combine(params, static)(*args)), params


LIBRARIES = {"function": by_function, "linen": by_linen, "nnx": by_nnx, "equinox": by_equinox}
PREDICTIONS = {
    "data": DataPrediction(),
    "noise": NoisePrediction(),
    "velocity": VelocityPrediction(),
}
QUICK = [("function", "velocity"), ("linen", "data"), ("nnx", "noise"), ("equinox", "velocity")]


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        pytest.param(library, kind, marks=() if (library, kind) in QUICK else pytest.mark.slow)
        for library in LIBRARIES
        for kind in PREDICTIONS
    ],
)
def test_the_density_is_that_of_the_gaussian(library, kind, key):
    network, params = LIBRARIES[library](kind)
    model = ScoreModel(
        network=network,
        sde=SDE,
        parameterization=PREDICTIONS[kind],
        time_condition=ScaledTime(scale=1.0),
    )
    likelihood = MultistepLikelihood(times=even_times(SDE, T_MIN, 60), divergence=ExactTrace())
    x = jnp.asarray([[0.1, 0.2], [0.9, 0.5], [-0.4, -1.0]])
    run = jax.jit(lambda score: likelihood(keys(key, 3), score, SDE, x).nats)
    alpha, sigma = (float(of(jnp.asarray(T_MIN))) for of in (SDE.alpha, SDE.sigma))
    covariance = alpha**2 * AXES @ np.diag(VARIANCES) @ AXES.T + sigma**2 * np.eye(2)
    exact = multivariate_normal(alpha * MEAN, covariance).logpdf(x)
    np.testing.assert_allclose(run(NetworkScore(params, model)), exact, atol=0.02)
