"""Conditioning vectors: standardized, embedded, stored, dropped, and learned from."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ring import ring
from sde_jax.data import Batch, DataSource, DataSpec, Ring
from sde_jax.data.rows import EmptyRows
from sde_jax.data.scaling import PointScaling
from sde_jax.initialization import apply
from sde_jax.nets import Condition, MLPSpec, NCSNppSpec, VectorStandardization
from sde_jax.recipes import from_config, to_config
from sde_jax.score import NetworkScore

MEAN, DEVIATION = (300.0, -2.0), (50.0, 0.25)
SCALE = VectorStandardization(mean=MEAN, deviation=DEVIATION)
SLOPE, SPREAD = 0.8, 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs(DataSpec):
    """Points x given vectors y: ``x = .8 (y - mean) / deviation + .3 noise``."""

    def sample(self, key):
        vector, noise = jax.random.normal(key, (2, 2))
        y = jnp.array(MEAN) + jnp.array(DEVIATION) * vector
        return Batch(SLOPE * vector + SPREAD * noise, None, y)

    def load(self):
        rows = {split: EmptyRows(10_000, None) for split in ("train", "test")}
        return DataSource(rows, self, shape=(2,), scaling=PointScaling(), condition_size=2)


def experiment(**fields):
    network = MLPSpec(width=32, depth=2, vector=SCALE)
    return dataclasses.replace(ring(), data=Pairs(), network=network, **fields)


@pytest.fixture(scope="module")
def batch():
    return next(Pairs().load().stream(jax.random.key(3), "train", 16))


def shaken(params):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: leaf + rng.normal(0, 0.2, leaf.shape).astype("f"), params)


def test_vectors_are_measured_and_stored():
    vectors = np.random.default_rng(0).normal(MEAN, DEVIATION, (50, 2))
    found = VectorStandardization.of(np.concatenate([vectors, np.ones((50, 1))], axis=1))
    np.testing.assert_allclose(found.mean, [*vectors.mean(axis=0), 1.0])
    np.testing.assert_allclose(found.deviation, [*vectors.std(axis=0), 1.0])
    stored = to_config(experiment().network)
    assert from_config(stored, MLPSpec) == experiment().network


@pytest.mark.parametrize(
    "spec, shape",
    [
        (MLPSpec(width=8, depth=1), (2,)),
        (
            NCSNppSpec(axes=1, channels=8, multipliers=(1,), blocks_per_level=1, vector=SCALE),
            (4, 1),
        ),
    ],
    ids=["mlp", "unet"],
)
def test_networks_see_standardized_vectors_or_none(spec, shape, batch):
    spec = dataclasses.replace(spec, vector=SCALE)
    network, vector = spec.build(), batch.condition[:3]
    x, time = jnp.ones((3, *shape)), jnp.arange(3.0)
    params = shaken(network.init(jax.random.key(0), x, time)["params"])
    output = apply(network, params, x, time, Condition(vector=vector))
    unit = VectorStandardization(mean=(0.0, 0.0), deviation=(1.0, 1.0))
    same = dataclasses.replace(spec, vector=unit).build()
    standard = (np.asarray(vector) - MEAN) / np.asarray(DEVIATION, np.float32)
    other = apply(same, params, x, time, Condition(vector=standard))
    np.testing.assert_allclose(other, output, atol=1e-4)
    alone = apply(network, params, x, time)
    some = vector.at[1, 0].set(jnp.nan)
    mixed = apply(network, params, x, time, Condition(vector=some))
    np.testing.assert_allclose(mixed[1], alone[1], atol=1e-5)
    np.testing.assert_allclose(mixed[::2], output[::2], atol=1e-5)
    assert np.abs(output - alone).max() > 0.01
    with pytest.raises(ValueError, match=r"vector must be \(3, 2\): got shape \(3, 3\)"):
        apply(network, params, x, time, Condition(vector=jnp.ones((3, 3))))
    with pytest.raises(ValueError, match="set `vector`"):
        plain = dataclasses.replace(spec, vector=None).build()
        apply(plain, params, x, time, Condition(vector=vector))


def test_vectors_are_dropped_like_labels(batch):
    keys = jax.random.split(jax.random.key(0), 16)
    vector = experiment().condition_of(batch, keys, 0.5).vector
    dropped = np.isnan(vector).any(axis=1)
    assert 0 < dropped.sum() < 16 and np.isnan(vector[dropped]).all()
    np.testing.assert_array_equal(vector[~dropped], batch.condition[~dropped])
    labelled = dataclasses.replace(ring(), network=MLPSpec(classes=3))
    told = labelled.condition_of(batch._replace(label=jnp.zeros(16, int)), keys, 0.5).label
    np.testing.assert_array_equal(told == -1, dropped)


def test_vectors_that_the_data_do_not_have_are_refused():
    experiment().check_data(Pairs().load())
    with pytest.raises(ValueError, match="`vector` has 2 entries, and .* have none"):
        experiment().check_data(Ring().load())


def trained(steps):
    """The state after so many updates, compiled once."""
    learner, source = experiment().learner((2,)), Pairs().load()
    state, update = learner.init(jax.random.key(0)), jax.jit(learner.update)
    stream = source.stream(jax.random.key(1), "train", 256)
    for step in range(steps):
        state, _ = update(state, jax.random.fold_in(jax.random.key(2), step), next(stream))
    return state.ema_params


@pytest.mark.slow("test_networks_see_standardized_vectors_or_none")
def test_the_conditional_score_of_a_gaussian_is_learned():
    """x given y is Gaussian around .8 times the standardized y; x alone is Gaussian, too."""
    of = experiment()
    params, batch = trained(2000), next(Pairs().load().batches(jax.random.key(4), "test", 500))
    t = jnp.full(500, 0.2)
    alpha, sigma = float(of.sde.alpha(t[0])), float(of.sde.sigma(t[0]))
    noise = jax.random.normal(jax.random.key(5), batch.x.shape)
    x = alpha * batch.x + sigma * noise
    mean = SLOPE * (np.asarray(batch.condition) - MEAN) / np.asarray(DEVIATION, np.float32)
    given = (alpha * mean - x) / (alpha**2 * SPREAD**2 + sigma**2)
    alone = -x / (alpha**2 * (SPREAD**2 + SLOPE**2) + sigma**2)
    score = of.score(params)
    conditional = NetworkScore(params, score.model, Condition(vector=batch.condition))
    for found, exact in ((conditional(x, t), given), (score(x, t), alone)):
        assert jnp.mean((found - exact) ** 2) < 0.02 * jnp.mean(exact**2)
