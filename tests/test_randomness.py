"""Noise from the seeds of examples: its law, and what it depends on."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from sde_jax.arrays import strided_parts
from sde_jax.nets.mlp import MLPSpec
from sde_jax.objectives import (
    DenoiserRegression,
    DenoisingScoreMatching,
    LikelihoodTimes,
    SlicedScoreMatching,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.objectives.denoising import draw_noise
from sde_jax.randomness import example_seeds, unit_noise
from sde_jax.score import ScoreModel
from sde_jax.sde import VP

MODEL = ScoreModel(network=MLPSpec(width=8, depth=1).build(), sde=VP())
BATCHES, SIZE, DIMENSION = 20_000, 4, 2


def check_independent(columns):
    """Each column has mean 0 and variance 1, and no two are correlated, within 5 errors."""
    columns = np.asarray(columns, np.float64)
    count = len(columns)
    assert (np.abs(columns.mean(axis=0)) * np.sqrt(count) < 5).all()
    products = columns[:, :, None] * columns[:, None, :]
    error = products.std(axis=0) / np.sqrt(count)
    assert (np.abs(products.mean(axis=0) - np.eye(columns.shape[1])) < 5 * error).all()


def test_noise_and_times_of_a_batch_are_independent_and_of_their_laws(key):
    """Between examples, dimensions, noise and time: the columns are all numbers of a batch."""

    @jax.jit
    @jax.vmap
    def batch(key):
        seeds, x0 = example_seeds(key, SIZE), jnp.zeros((SIZE, DIMENSION))
        drawn = draw_noise(MODEL, UniformTimes(t_min=0.2), seeds, x0, deterministic=True)
        places = seeds.quantiles * SIZE - jnp.arange(SIZE)
        return drawn.noise.reshape(-1), (drawn.times.t - 0.2) / 0.8, places

    noise, times, places = batch(jax.random.split(key, BATCHES))
    uniform = [np.sqrt(12) * (np.asarray(u, np.float64) - 0.5) for u in (times, places)]
    check_independent(np.concatenate([noise, *uniform], axis=1))
    assert kstest(np.ravel(noise), "norm").pvalue > 1e-3
    assert kstest(np.ravel(times), "uniform").pvalue > 1e-3
    assert kstest(np.ravel(places), "uniform").pvalue > 1e-3


def test_what_is_split_from_a_seed_is_independent(key):
    @jax.jit
    @jax.vmap
    def batch(key):
        seeds = example_seeds(key, 2)
        return jnp.concatenate([unit_noise(each.keys, ()) for each in (seeds, *seeds.split(3))])

    check_independent(batch(jax.random.split(key, BATCHES)))


PLAIN = {
    "denoising": DenoisingScoreMatching(model=MODEL, times=UniformTimes()),
    "sliced": SlicedScoreMatching(model=MODEL, times=UniformTimes(), projection="sphere"),
    "denoiser": DenoiserRegression(
        network=MODEL.network, noise_conditional=True, level_min=0.1, level_max=2.0
    ),
}


@pytest.mark.parametrize(
    "name", ["denoising", *(pytest.param(n, marks=pytest.mark.slow) for n in [*PLAIN][1:])]
)
def test_the_loss_of_an_example_does_not_depend_on_the_size_of_the_batch(name, key):
    """Five examples alone, and as the first of twelve; others at other noise."""

    @jax.jit
    def losses(key):
        params = jax.tree.map(lambda x: x + 0.1, MODEL.init(key, (3,)))
        x = jnp.broadcast_to(jax.random.normal(key, (1, 3)), (12, 3))
        return [PLAIN[name].losses(params, example_seeds(key, n), x[:n]) for n in (5, 12)]

    few, many = losses(key)
    np.testing.assert_allclose(few, many[:5], rtol=1e-5)
    assert len(np.unique(np.round(many, 5))) == 12


@pytest.mark.parametrize("count", [1, 5, 12])
def test_the_keys_of_examples_do_not_depend_on_their_number(count, key):
    keys = example_seeds(key, 12).keys
    assert (example_seeds(key, count).keys == keys[:count]).all()
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == 12


@pytest.mark.parametrize("times", [StratifiedTimes(), LikelihoodTimes(), UniformTimes()])
def test_times_of_a_part_are_those_of_the_whole(times, key):
    seeds = example_seeds(key, 12)
    whole = times(seeds, VP())
    for index, part in enumerate(strided_parts(seeds, 3)):
        for actual, expected in zip(times(part, VP()), whole, strict=True):
            np.testing.assert_allclose(actual, expected[index::3], rtol=1e-5)


def test_each_stratum_has_one_quantile(key):
    quantiles = np.asarray(example_seeds(key, 50).quantiles)
    np.testing.assert_array_equal(np.floor(quantiles * 50 + 1e-4), np.arange(50))


def test_seeds_are_the_same_on_eight_devices(key):
    spread = jax.NamedSharding(jax.make_mesh((8,), ("data",)), jax.P("data"))

    def drawn(key):
        seeds = example_seeds(key, 16)
        return unit_noise(seeds.keys, (3,)), seeds.quantiles

    apart = jax.jit(drawn, out_shardings=spread)(key)
    jax.tree.map(np.testing.assert_array_equal, apart, jax.jit(drawn)(key))


def test_dropout_is_of_the_first_seed_and_can_be_off(key):
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return nn.Dropout(0.5)(x, deterministic=deterministic)

    seeds = example_seeds(key, 6)
    assert seeds.dropout_key(deterministic=False) == seeds.keys[0]
    assert seeds.dropout_key(deterministic=True) is None
    parts = [part.dropout_key(deterministic=False) for part in strided_parts(seeds, 3)]
    assert (jnp.stack(parts) == seeds.keys[:3]).all()
    objective = DenoisingScoreMatching(model=ScoreModel(network=Dropped(), sde=VP()))
    x0 = jnp.ones((6, 50))
    losses = jax.jit(objective.losses, static_argnames="deterministic")
    with_dropout, without = (
        losses({}, seeds, x0, deterministic=deterministic) for deterministic in (False, True)
    )
    assert not np.isclose(with_dropout, without, rtol=1e-3).any()
