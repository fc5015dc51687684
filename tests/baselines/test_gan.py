"""Training in turns, step by step against numpy, and what trained generators cover."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import keys
from point_gan import PointGANSpec

from sde_jax.baselines.adversarial_loss import AdversarialLoss
from sde_jax.baselines.gan import GAN, gan_learner
from sde_jax.data import Batch, GaussianMixture, Ring
from sde_jax.training import Adam, data_mesh
from sde_jax.training.devices import batch_sharding, replicate

LATENT, DIMENSION = 3, 2
RATES = {"generator": 0.3, "discriminator": 0.7}


class Affine(nn.Module):
    """Latents to points; ``watch`` is shown the latents."""

    watch: Callable = lambda latent: None

    @nn.compact
    def __call__(self, latent, *, shape):
        self.watch(latent)
        matrix = self.param("matrix", nn.initializers.normal(1.0), (latent.shape[1], *shape))
        offset = self.param("offset", nn.initializers.normal(1.0), shape)
        return latent @ matrix + offset[None]


class Linear(nn.Module):
    """Points to scores."""

    @nn.compact
    def __call__(self, x):
        weights = self.param("weights", nn.initializers.normal(1.0), x.shape[1:])
        return x @ weights + self.param("bias", nn.initializers.normal(1.0), ())


def affine_learner(loss, generator=None, *, rates=RATES, **settings):
    model = GAN(generator=generator or Affine(), discriminator=Linear(), latent_dimension=LATENT)
    return gan_learner(
        model,
        (DIMENSION,),
        loss,
        generator_optimizer=optax.sgd(rates["generator"]),
        discriminator_optimizer=optax.sgd(rates["discriminator"]),
        **{"ema_decay": 0.3, **settings},
    )


def data(key, count=6):
    return Batch(0.7 + 0.4 * jax.random.normal(key, (count, DIMENSION)), None)


def in_float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def discriminator_turn(loss, params, latent, real):
    """Metrics, and parameters after a step of gradient descent, derived by hand."""
    g, d = params["generator"], params["discriminator"]
    fake = latent @ g["matrix"] + g["offset"]
    on_real, on_fake = (x @ d["weights"] + d["bias"] for x in (real, fake))
    length = np.sqrt((d["weights"] ** 2).sum())
    if loss.loss == "wasserstein":
        value = on_fake.mean() - on_real.mean() + loss.penalty * (length - 1) ** 2
        slope_real, slope_fake = -np.ones(len(real)), np.ones(len(real))
        decay = 2 * loss.penalty * (length - 1) / length
    else:
        value = -np.log(sigmoid(on_real)).mean() - np.log(1 - sigmoid(on_fake)).mean()
        value += loss.r1 / 2 * length**2
        slope_real, slope_fake = sigmoid(on_real) - 1, sigmoid(on_fake)
        decay = loss.r1
    by_weights = (slope_real @ real + slope_fake @ fake) / len(real) + decay * d["weights"]
    by_bias = (slope_real + slope_fake).mean()
    rate = RATES["discriminator"]
    d = {"weights": d["weights"] - rate * by_weights, "bias": d["bias"] - rate * by_bias}
    return {"generator": g, "discriminator": d}, (value, on_real.mean(), on_fake.mean())


def generator_turn(loss, params, latent):
    """The same of the generator."""
    g, d = params["generator"], params["discriminator"]
    scores = (latent @ g["matrix"] + g["offset"]) @ d["weights"] + d["bias"]
    value, slope = {
        "saturating": (np.log(1 - sigmoid(scores)), -sigmoid(scores)),
        "non_saturating": (-np.log(sigmoid(scores)), sigmoid(scores) - 1),
        "wasserstein": (-scores, -np.ones(len(scores))),
    }[loss.loss]
    by_matrix = np.outer(slope @ latent, d["weights"]) / len(latent)
    by_offset = slope.mean() * d["weights"]
    norm = np.sqrt((by_matrix**2).sum() + (by_offset**2).sum())
    rate = RATES["generator"]
    g = {"matrix": g["matrix"] - rate * by_matrix, "offset": g["offset"] - rate * by_offset}
    return {"generator": g, "discriminator": d}, (value.mean(), norm)


LOSSES = [
    AdversarialLoss(loss="saturating"),
    AdversarialLoss(loss="non_saturating", r1=0.4),
    AdversarialLoss(loss="wasserstein", penalty=2.0),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.loss)


@pytest.mark.parametrize("steps", [1, 3])
@each_loss
def test_updates_are_turns_derived_by_hand(loss, steps, key):
    """The generator's turn sees the discriminator's last; each turn has latents, and each of the
    discriminator's a part of the batch, of its own; both networks are averaged."""
    key_init, key_data, *update_keys = jax.random.split(key, 4)
    seen = []
    learner = affine_learner(loss, Affine(seen.append), discriminator_steps=steps)
    state = learner.init(key_init)
    params = average = in_float64(state.params)
    batch = data(key_data)
    reals = np.asarray(batch.x, np.float64)
    for n, update_key in enumerate(update_keys, start=1):
        seen.clear()
        state, metrics = learner.update(state, update_key, batch)
        *latents, last = in_float64(seen)
        assert len(latents) == steps
        assert len(np.unique(np.concatenate([*latents, last]))) == (steps + 1) * 6 // steps * LATENT
        judged = []
        for index, latent in enumerate(latents):
            params, values = discriminator_turn(loss, params, latent, reals[index::steps])
            judged.append(values)
        params, (value, norm) = generator_turn(loss, params, last)
        decay = min(0.3, (1 + n) / (10 + n))
        average = jax.tree.map(lambda a, p, d=decay: d * a + (1 - d) * p, average, params)
        names = ("loss", "grad_norm", "discriminator_loss", "real_score", "generated_score")
        assert set(metrics) == set(names)
        expected = (value, norm, *np.mean(judged, axis=0))
        np.testing.assert_allclose([metrics[name] for name in names], expected, rtol=2e-5)
        for got, wanted in ((state.params, params), (state.ema_params, average)):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 2e-5, 2e-6), got, wanted)
        assert state.step == n


@pytest.mark.parametrize("still", ["generator", "discriminator"])
@each_loss
def test_without_a_learning_rate_a_network_stays_and_the_other_moves(loss, still, key):
    learner = affine_learner(loss, rates=RATES | {still: 0.0})
    before = learner.init(key)
    after, _ = learner.update(before, key, data(key))
    for name in RATES:
        same = jax.tree.map(np.array_equal, before.params[name], after.params[name])
        assert all(jax.tree.leaves(same)) == (name == still), name


@each_loss
def test_evaluation_is_the_averaged_discriminators_loss_on_each_real_example(loss, key):
    learner = affine_learner(loss)
    state = learner.init(key)
    other = {"discriminator": {"weights": jnp.asarray([1.0, -2.0]), "bias": jnp.asarray(0.5)}}
    state = state._replace(ema_params=state.params | other)
    x = data(key).x
    scores = np.asarray(x, np.float64) @ [1.0, -2.0] + 0.5
    expected = -scores if loss.loss == "wasserstein" else -np.log(sigmoid(scores))
    np.testing.assert_allclose(learner.evaluate(state, key, Batch(x, None)), expected, rtol=1e-5)


def test_samples_of_an_affine_generator_are_gaussian(key):
    """Samples have mean c and covariance A^T A and take one evaluation; n = 20,000."""
    model = GAN(generator=Affine(), discriminator=Linear(), latent_dimension=LATENT)
    params = model.init(key, (DIMENSION,))
    samples = model.sample(params, keys(key, 20_000), (DIMENSION,))
    g = in_float64(params["generator"])
    centered = np.asarray(samples.x, np.float64) - g["offset"]
    for values, expected in (
        *((centered[:, i], 0.0) for i in range(2)),
        *(
            (centered[:, i] * centered[:, j], (g["matrix"].T @ g["matrix"])[i, j])
            for i in range(2)
            for j in range(2)
        ),
    ):
        z = (values.mean() - expected) / (values.std() / np.sqrt(len(values)))
        assert abs(z) < 5, f"z = {z:.1f}"
    np.testing.assert_array_equal(samples.nfe, 1)
    assert samples.converged.all()


def test_a_sample_depends_on_its_own_key_alone(key):
    model = GAN(generator=Affine(), discriminator=Linear(), latent_dimension=LATENT)
    params = model.init(key, (4,))
    sample = jax.jit(lambda keys: model.sample(params, keys, (4,)).x)
    together = sample(keys(key, 5))
    assert len(np.unique(together)) == 20
    np.testing.assert_allclose(sample(keys(key, 5)[3:]), together[3:], rtol=1e-5)


def point_learner(loss, optimizer, *, width=64, depth=2, discriminator_steps=1):
    spec = PointGANSpec(width=width, depth=depth)
    model = GAN(
        generator=spec.build_generator(),
        discriminator=spec.build_discriminator(),
        latent_dimension=4,
    )
    learner = gan_learner(
        model,
        (2,),
        loss,
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        discriminator_steps=discriminator_steps,
        ema_decay=0.99,
    )
    return model, learner


def test_a_resumed_run_ends_bitwise_the_same_and_compiles_once(key):
    """Four updates, and two and two with only arrays on the host carried over."""
    optimizer = Adam().build(4)
    learner = gan_learner(
        GAN(generator=Affine(), discriminator=Linear(), latent_dimension=LATENT),
        (DIMENSION,),
        AdversarialLoss(loss="wasserstein"),
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        discriminator_steps=2,
        ema_decay=0.99,
    )
    traces = []

    @jax.jit
    def update(state, key, batch):
        traces.append(None)
        return learner.update(state, jax.random.fold_in(key, state.step), batch)

    batches = [data(jax.random.fold_in(key, n)) for n in range(4)]
    straight = resumed = learner.init(key)
    for batch in batches:
        straight, metrics = update(straight, key, batch)
        assert all(np.shape(value) == () and np.isfinite(value) for value in metrics.values())
    for pair in (batches[:2], batches[2:]):
        for batch in pair:
            resumed, _ = update(resumed, key, batch)
        resumed = jax.tree.map(jnp.asarray, jax.device_get(resumed))
    jax.tree.map(np.testing.assert_array_equal, straight, resumed)
    assert len(traces) == 1


def test_eight_devices_share_the_work_and_find_the_same(key):
    learner = affine_learner(AdversarialLoss(), discriminator_steps=2)
    results, work = [], []
    for count in (1, 8):
        mesh = data_mesh(jax.devices()[:count])
        state, update_key = replicate((learner.init(key), key), mesh)
        batch = jax.device_put(data(key, 512), batch_sharding(mesh))
        compiled = jax.jit(learner.update).lower(state, update_key, batch).compile()
        work.append(compiled.cost_analysis()["flops"])
        state, metrics = compiled(state, update_key, batch)
        results.append(jax.device_get((state.params, metrics)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *results)
    assert work[1] < work[0] / 6


def test_a_batch_that_does_not_divide(key):
    learner = affine_learner(LOSSES[0], discriminator_steps=4)
    with pytest.raises(ValueError, match="discriminator_steps=4 for a batch of 6 examples"):
        learner.update(learner.init(key), key, data(key))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ema_decay": 1.0}, r"`ema_decay` must lie in \[0, 1\)"),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1: got 0"),
    ],
)
def test_bad_settings_of_training(settings, message):
    with pytest.raises(ValueError, match=message):
        affine_learner(LOSSES[0], **settings)


def test_bad_settings_of_models():
    with pytest.raises(ValueError, match="`latent_dimension` must be at least 1: got "):
        GAN(generator=Affine(), discriminator=Linear(), latent_dimension=0)
    with pytest.raises(ValueError, match="`depth` must be at least 1: got 0"):
        PointGANSpec(depth=0)


def test_models_are_values():
    """Equal ones are one static argument of a compiled function."""

    def model():
        spec = PointGANSpec()
        return GAN(generator=spec.build_generator(), discriminator=spec.build_discriminator())

    assert model() == model()
    assert hash(model()) == hash(model())


STEPS, BATCH, DRAWN = 3000, 192, 4000


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((AdversarialLoss(r1=0.1), 1, 0.5), id="r1"),
        pytest.param(
            (AdversarialLoss(loss="wasserstein", penalty=0.1), 2, 0.0),
            id="wasserstein",
            marks=pytest.mark.slow,
        ),
    ],
)
def trained_samples(request):
    """Trains on points ``[steps, batch, 2]``, and draws from the average."""
    loss, discriminator_steps, b1 = request.param
    adam = Adam(learning_rate=1e-3, b1=b1, b2=0.9, clip_norm=None).build(STEPS)
    model, learner = point_learner(loss, adam, discriminator_steps=discriminator_steps)

    @jax.jit
    def train(key, points):
        def update(state, x):
            return learner.update(state, jax.random.fold_in(key, state.step), Batch(x, None))

        state, _ = jax.lax.scan(update, learner.init(key), points)
        return model.sample(state.ema_params, keys(key, DRAWN), (2,)).x

    return train


def points_of(distribution, key):
    draw = jax.jit(jax.vmap(distribution.sample))
    return draw(jax.random.split(key, STEPS * BATCH)).x.reshape(STEPS, BATCH, 2)


def check_cover(places, near, count):
    """Most samples are near the data, and each of ``count`` places has a third of its share."""
    assert near.mean() > 0.6, near.mean()
    shares = np.bincount(places[near], minlength=count) / len(places) * count
    assert shares.min() > 1 / 3, shares


@pytest.mark.slow("test_updates_are_turns_derived_by_hand")
def test_all_modes_of_a_mixture_are_covered(trained_samples, key):
    """Samples within three deviations of a mean, as 98.9% of the data are."""
    mixture = GaussianMixture()
    samples = np.asarray(trained_samples(key, points_of(mixture, key)))
    angles = 2 * np.pi * np.arange(mixture.components) / mixture.components
    means = mixture.radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    distances = np.linalg.norm(samples[:, None] - means[None], axis=2)
    near = distances.min(axis=1) < 3 * mixture.deviation
    check_cover(distances.argmin(axis=1), near, mixture.components)


@pytest.mark.slow("test_updates_are_turns_derived_by_hand")
def test_all_sectors_of_a_ring_are_covered(trained_samples, key):
    """Samples within three deviations of the radius, in twelve sectors."""
    ring = Ring()
    samples = np.asarray(trained_samples(key, points_of(ring, key)))
    near = np.abs(np.linalg.norm(samples, axis=1) - ring.radius) < 3 * ring.deviation
    turns = np.arctan2(samples[:, 1], samples[:, 0]) / (2 * np.pi) % 1
    check_cover(np.floor(12 * turns).astype(int) % 12, near, 12)
