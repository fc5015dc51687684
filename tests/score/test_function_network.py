"""Networks of other libraries and of none are read as one of Flax with the same weights is."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.likelihood import ExactTrace, MultistepLikelihood, even_times
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import example_seeds
from sde_jax.sampling import EulerMaruyama, PredictorCorrector, UniformGrid
from sde_jax.score import FunctionNetwork, NetworkScore, ScoreModel
from sde_jax.sde import VP

DIMENSION, WIDTH = 2, 5


def weights():
    """Kernels and biases of two layers."""
    rng = np.random.default_rng(7)
    sizes = {"first": (DIMENSION + 1, WIDTH), "second": (WIDTH, DIMENSION)}
    return {
        layer: {
            "kernel": jnp.asarray(0.5 * rng.normal(size=size), jnp.float32),
            "bias": jnp.asarray(0.3 * rng.normal(size=size[1]), jnp.float32),
        }
        for layer, size in sizes.items()
    }


def with_time(x, time):
    """The network's input."""
    return jnp.concatenate([x, time[:, None] / 999], axis=1)


class Linen(nn.Module):
    """The network in Flax Linen."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        hidden = jnp.tanh(nn.Dense(WIDTH, name="first")(with_time(x, time)))
        output = nn.Dense(DIMENSION, name="second")(hidden)
        return output if condition is None else output + condition


def by_function():
    """The network as a plain function, and its parameters."""

    def network(params, x, time, condition=0.0):
        first, second = params["first"], params["second"]
        hidden = jnp.tanh(with_time(x, time) @ first["kernel"] + first["bias"][None])
        return hidden @ second["kernel"] + second["bias"][None] + condition

    return FunctionNetwork(network), weights()


def by_nnx():
    """The network in Flax NNX."""
    nnx = pytest.importorskip("flax.nnx", reason="Flax NNX is not installed")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(DIMENSION + 1, WIDTH, rngs=rngs)
            self.second = nnx.Linear(WIDTH, DIMENSION, rngs=rngs)

        def __call__(self, x, time):
            return self.second(jnp.tanh(self.first(with_time(x, time))))

    network = Network(nnx.Rngs(0))
    for name, layer in weights().items():
        of_network = getattr(network, name)
        of_network.kernel = nnx.Param(layer["kernel"])
        of_network.bias = nnx.Param(layer["bias"])
    graph, params = nnx.split(network)
    return FunctionNetwork(lambda params, *args: nnx.merge(graph, params)(*args)), params


def by_equinox():
    """The network in Equinox, whose layers take one example."""
    eqx = pytest.importorskip("equinox", reason="Equinox is not installed")

    class Network(eqx.Module):
        first: eqx.nn.Linear
        second: eqx.nn.Linear

        def __call__(self, x):
            return self.second(jnp.tanh(self.first(x)))

    def linear(layer):
        outputs, inputs = layer["kernel"].T.shape
        empty = eqx.nn.Linear(inputs, outputs, key=jax.random.key(0))
        own = (layer["kernel"].T, layer["bias"])
        return eqx.tree_at(lambda linear: (linear.weight, linear.bias), empty, own)

    network = Network(**{name: linear(layer) for name, layer in weights().items()})
    params, static = eqx.partition(network, eqx.is_array)

    def apply(params, x, time):
        return jax.vmap(eqx.combine(params, static))(with_time(x, time))

    return FunctionNetwork(apply), params


LIBRARIES = {"function": by_function, "nnx": by_nnx, "equinox": by_equinox}


def uses(network, params):
    """The score, the objective's gradient, samples and likelihoods of a network, compiled."""
    sde = VP()
    model = ScoreModel(network=network, sde=sde)
    x = jnp.asarray([[0.7, -0.2], [1.5, 0.4], [-1.0, 2.0]])
    keys = jax.random.split(jax.random.key(3), len(x))
    objective = DenoisingScoreMatching(model=model)
    sampler = PredictorCorrector(grid=UniformGrid(steps=10), predictor=EulerMaruyama())
    likelihood = MultistepLikelihood(times=even_times(sde, 1e-2, 10), divergence=ExactTrace())

    @jax.jit
    def everything(params):
        score = NetworkScore(params, model)
        seeds = example_seeds(jax.random.key(4), len(x))
        gradient = jax.grad(lambda params: objective.losses(params, seeds, x).mean())(params)
        return {
            "score": score(x, jnp.asarray([0.1, 0.5, 0.9])),
            "gradient": sorted_leaves(gradient),
            "samples": sampler(keys, score, sde, (DIMENSION,)).x,
            "likelihoods": likelihood(keys, score, sde, x).nats,
        }

    return everything(params)


def sorted_leaves(tree):
    """Sums of the squares of the arrays of each size, whatever the order and orientation."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf is not None]
    return jnp.sort(jnp.stack([jnp.sum(leaf**2) for leaf in leaves]))


@pytest.fixture(scope="module")
def expected():
    return uses(Linen(), weights())


@pytest.mark.parametrize(
    "library",
    ["function", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nnx", "equinox"))],
)
def test_all_uses_are_those_of_the_linen_network(library, expected):
    found = uses(*LIBRARIES[library]())
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=1e-5, err_msg=name)
        assert np.isfinite(value).all() and np.ptp(value) > 0.01, name


def test_a_condition_reaches_the_function():
    x, t, condition = jnp.ones((2, 2)), jnp.full(2, 0.3), jnp.asarray(0.5)
    network, params = by_function()
    model, linen = (ScoreModel(network=one, sde=VP()) for one in (network, Linen()))
    for told in (None, condition):
        np.testing.assert_allclose(
            NetworkScore(params, model, told)(x, t),
            NetworkScore(params, linen, told)(x, t),
            rtol=1e-5,
        )
    shift = NetworkScore(params, model, condition)(x, t) - NetworkScore(params, model)(x, t)
    np.testing.assert_allclose(shift, jnp.full((2, 2), -0.5) / VP().sigma(0.3), rtol=1e-5)


def test_a_function_has_no_initial_parameters():
    network, _ = by_function()
    with pytest.raises(ValueError, match="has no initial parameters: make them yourself"):
        ScoreModel(network=network, sde=VP()).init(jax.random.key(0), (2,))
