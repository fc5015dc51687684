"""The bound of a DDPM chain against sums of Gaussian divergences, derived here in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from cases import DEVIATION, MEAN, SDES, keys

from sde_jax.likelihood import (
    DiscretizedGaussian,
    GaussianDensity,
    VariationalBound,
    bits_per_dimension,
    variational_bound,
)
from sde_jax.sde import DDPMChain

VP = SDES["vp"]
ENTROPY = 0.5 * np.log(2 * np.pi * np.e * DEVIATION**2)
each_variance = pytest.mark.parametrize("variance", ["beta", "posterior"])


def tables(levels):
    """``b_i``, and the products of ``1 - b``, 1 before the first."""
    betas = np.linspace(0.1 / levels, 20.0 / levels, levels)
    return betas, np.concatenate([[1.0], np.cumprod(1 - betas)])


def exact_line(levels, mean=MEAN, deviation=DEVIATION):
    """Slope and offset at each level of the score of a Gaussian noised by the chain."""
    _, products = tables(levels)
    variances = products[1:] * deviation**2 + 1 - products[1:]
    return -1 / variances, np.sqrt(products[1:]) * mean / variances


def score_of_line(slope, offset):
    """The score ``slope x + offset`` of each level, told the time ``i / (N - 1)``."""
    slope, offset = jnp.asarray(slope, jnp.float32), jnp.asarray(offset, jnp.float32)

    def score(x, t):
        level = jnp.round(t * (slope.size - 1)).astype(int)
        return slope[level] * x + offset[level]

    return score


def reverse_variances(levels, variance):
    betas, products = tables(levels)
    posterior = betas * (1 - products[:-1]) / (1 - products[1:])
    return betas if variance == "beta" else np.concatenate([posterior[1:2], posterior[1:]])


def divergence(mean_square, variance, other):
    """From one Gaussian to another, where the squared offset of their means is ``mean_square``."""
    return np.log(np.sqrt(other / variance)) + (variance + mean_square) / (2 * other) - 0.5


def expected_terms(levels, variance, line, mean, deviation):
    """Terms of one dimension for data of that mean and deviation, with the posterior's mean as it
    is in eq. 7 of Ho et al., and the expectation over x_i of the square of an affine function."""
    betas, products = tables(levels)
    below, above = products[:-1], products[1:]
    slope, offset = line
    variances = reverse_variances(levels, variance)
    # Offset of the means, of x_0's and x_i's share, x_i = sqrt(above) x_0 + sqrt(1 - above) noise.
    of_data = np.sqrt(below) * betas / (1 - above)
    of_noisy = np.sqrt(1 - betas) * (1 - below) / (1 - above)
    of_noisy = of_noisy - (1 + betas * slope) / np.sqrt(1 - betas)
    of_data = of_data + of_noisy * np.sqrt(above)
    constant = -betas * offset / np.sqrt(1 - betas)
    squares = (of_data * mean + constant) ** 2
    squares += (of_data * deviation) ** 2 + of_noisy**2 * (1 - above)
    posterior = betas * (1 - below) / (1 - above)
    transitions = divergence(squares[1:], posterior[1:], variances[1:])
    prior = divergence(above[-1] * (mean**2 + deviation**2), 1 - above[-1], 1.0)
    decoder = -0.5 * (np.log(2 * np.pi * variances[0]) + squares[0] / variances[0])
    return prior, transitions, decoder


def expected_excess(levels, variance):
    """Nats by which the bound of the lopsided Gaussian falls short, of its exact score."""
    prior, transitions, decoder = expected_terms(
        levels, variance, exact_line(levels), MEAN, DEVIATION
    )
    return prior + transitions.sum() - decoder - ENTROPY


def evaluate(bound, score, x, key):
    return jax.jit(lambda keys, x: bound(keys, score, VP, x))(keys(key, len(x)), x)


def z_score(estimates, expected):
    """Of the mean over the first axis."""
    estimates = np.asarray(estimates, np.float64)
    return (estimates.mean(0) - expected) / (estimates.std(0, ddof=1) / np.sqrt(len(estimates)))


@pytest.mark.parametrize(
    ("levels", "variance", "published", "digits"),
    [
        pytest.param(100, "beta", 0.0201, 4, marks=pytest.mark.slow),
        (1000, "beta", 0.0020, 4),
        pytest.param(10_000, "beta", 0.0002, 4, marks=pytest.mark.slow),
        (1000, "posterior", 0.57, 2),
    ],
)
def test_a_gaussian_falls_short_by_the_sum_of_its_divergences(
    levels, variance, published, digits, key, monkeypatch
):
    """Exactly: of an affine score every term is quadratic in data and noise, so that its mean over
    the signs of both is its expectation. Nats to 2e-5, and each term to 2e-7."""
    noise = jnp.asarray([[1.0], [-1.0], [1.0], [-1.0]])
    monkeypatch.setattr(variational_bound, "step_noise", lambda *_: noise)
    x = MEAN + DEVIATION * jnp.asarray([[1.0], [1.0], [-1.0], [-1.0]])
    bound, line = (
        VariationalBound(chain=DDPMChain(levels=levels), variance=variance),
        exact_line(levels),
    )
    found = evaluate(bound, score_of_line(*line), x, key)
    _, transitions, _ = expected_terms(levels, variance, line, MEAN, DEVIATION)
    np.testing.assert_allclose(np.float64(found.transitions).mean(axis=0), transitions, atol=2e-7)
    excess = -np.float64(found.nats).mean() - ENTROPY
    assert excess == pytest.approx(expected_excess(levels, variance), abs=2e-5)
    assert excess == pytest.approx(published, abs=0.5 * 10**-digits)


def test_a_bound_of_drawn_noise_has_that_expectation(key):
    """24 images of 64 dimensions within 5 standard errors, each point's log density taken out."""
    key_data, key_bound = jax.random.split(key)
    x = MEAN + DEVIATION * jax.random.normal(key_data, (24, 8, 8, 1))
    bound = VariationalBound(chain=DDPMChain(levels=100), variance="posterior")
    nats = evaluate(bound, score_of_line(*exact_line(100)), x, key_bound).nats
    exact = scipy.stats.norm.logpdf(np.asarray(x), MEAN, DEVIATION).sum(axis=(1, 2, 3))
    z = z_score((exact - nats) / 64, expected_excess(100, "posterior"))
    assert abs(z) < 5, z


def test_every_level_has_noise_of_its_own(key):
    """Without a score a divergence is affine in the square of its level's noise: those of 4000
    examples are not correlated between any two levels, within 5 standard errors."""
    bound = VariationalBound(chain=DDPMChain(levels=30))
    found = evaluate(bound, lambda x, t: jnp.zeros_like(x), jnp.zeros((4000, 1)), key)
    correlations = np.corrcoef(np.float64(found.transitions), rowvar=False)
    off_diagonal = correlations[~np.eye(29, dtype=bool)]
    assert np.abs(off_diagonal).max() * np.sqrt(4000) < 5


def test_the_excess_vanishes_with_the_betas_and_not_with_the_posterior():
    """In the closed form: as 1 / N, and down to ``(Euler's constant + 1 - log 2) / 2``. For a
    single point it is the posterior that loses nothing, the betas ``(1 - Euler's constant) / 2``.
    """
    excesses = [expected_excess(levels, "beta") for levels in (100, 1000, 10_000)]
    np.testing.assert_allclose(excesses, [0.0201, 0.0020, 0.0002], atol=5e-5)
    np.testing.assert_allclose(expected_excess(1_000_000, "beta"), 0.0, atol=2e-5)
    limit = (np.euler_gamma + 1 - np.log(2)) / 2
    np.testing.assert_allclose(expected_excess(1_000_000, "posterior"), limit, atol=1e-3)
    for variance, limit in [("posterior", 0.0), ("beta", (1 - np.euler_gamma) / 2)]:
        line = exact_line(1_000_000, MEAN, 0.0)
        _, transitions, _ = expected_terms(1_000_000, variance, line, MEAN, 0.0)
        np.testing.assert_allclose(transitions.sum(), limit, atol=1e-2)


def log_density_of_the_model(levels, variance, line, x):
    """That of the end of the reverse chain, whose law is Gaussian, by a recursion."""
    betas, _ = tables(levels)
    mean, total = 0.0, 1.0
    for i in reversed(range(levels)):
        gain = (1 + betas[i] * line[0][i]) / np.sqrt(1 - betas[i])
        mean = gain * mean + betas[i] * line[1][i] / np.sqrt(1 - betas[i])
        total = gain**2 * total + reverse_variances(levels, variance)[i]
    return scipy.stats.norm.logpdf(x, mean, np.sqrt(total))


@each_variance
def test_every_term_of_a_wrong_score_at_one_point(variance, key):
    """x = 1.3 with the score of N(.2, .6^2): 20,000 draws, each term within 5 standard errors, and
    2e-7 nats of rounding; the sum stays below the log density that the reverse chain itself has."""
    levels, x = 30, 1.3
    line = exact_line(levels, 0.2, 0.6)
    bound = VariationalBound(chain=DDPMChain(levels=levels), variance=variance)
    found = evaluate(bound, score_of_line(*line), jnp.full((20_000, 1), x), key)
    prior, transitions, decoder = expected_terms(levels, variance, line, x, 0.0)
    np.testing.assert_allclose(found.prior, np.full(20_000, prior), rtol=1e-4, atol=1e-7)
    offsets = np.abs(np.asarray(found.transitions).mean(0) - transitions)
    error = np.asarray(found.transitions).std(0) / np.sqrt(20_000)
    assert (offsets < 5 * error + 2e-7).all(), offsets / error
    assert abs(z_score(found.decoder, decoder)) < 5
    assert abs(z_score(found.nats, decoder - prior - transitions.sum())) < 5
    assert found.nats.mean() < log_density_of_the_model(levels, variance, line, x)


def test_the_posterior_variance_is_exact_for_a_single_point(key):
    """Its divergences are all zero, whatever the noise; those of the betas are their widths'."""
    levels, x = 100, jnp.full((16, 2), MEAN)
    score = score_of_line(*exact_line(levels, MEAN, 0.0))
    for variance in ("posterior", "beta"):
        bound = VariationalBound(chain=DDPMChain(levels=levels), variance=variance)
        found = evaluate(bound, score, x, key).transitions
        _, expected, _ = expected_terms(levels, variance, exact_line(levels, MEAN, 0), MEAN, 0)
        expected = np.broadcast_to(2 * expected, found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found[:, 0].min() > 0.5


def test_the_betas_are_exact_for_the_unit_gaussian(key):
    """The chain is then its own reverse: no excess, within 5 standard errors of 4096 points."""
    key_data, key_bound = jax.random.split(key)
    x = jax.random.normal(key_data, (4096, 4))
    bound = VariationalBound(chain=DDPMChain(levels=50))
    found = evaluate(bound, lambda x, t: -x, x, key_bound)
    z = z_score(found.nats - scipy.stats.norm.logpdf(np.asarray(x)).sum(axis=1), 0.0)
    assert abs(z) < 5, z
    assert found.transitions.mean() > 1e-4


@pytest.mark.slow("test_discretized_masses_are_those_of_the_bins")
def test_grey_levels_reach_their_entropy(key):
    """Four levels of unequal shares, with their exact score: the posterior's variance, right for
    single points, loses little, the betas ``(1 - Euler's constant) / 2`` nats and more."""
    shares, grey = np.array([0.1, 0.5, 0.15, 0.25]), jnp.asarray([-1.0, -1 / 3, 1 / 3, 1.0])
    chain = DDPMChain(levels=1000)

    def score(x, t):
        alpha, sigma = chain.alpha(VP, t), chain.sigma(VP, t)
        offsets = alpha * grey[None] - x
        joint = jnp.log(jnp.asarray(shares))[None] - 0.5 * (offsets / sigma) ** 2
        return (jax.nn.softmax(joint) * offsets).sum(axis=1, keepdims=True) / sigma**2

    x, lost = jnp.repeat(grey, 200)[:, None], {}
    for variance in ("posterior", "beta"):
        decoder = DiscretizedGaussian(levels=4)
        bound = VariationalBound(chain=chain, variance=variance, decoder=decoder)
        nats = np.asarray(evaluate(bound, score, x, key).nats).reshape(4, 200)
        error = nats.std(axis=1) / np.sqrt(200)
        assert (nats.mean(axis=1) < np.log(shares) + 5 * error).all()
        bits = shares @ bits_per_dimension(nats.mean(axis=1), 1, 0.0)
        lost[variance] = bits + shares @ np.log2(shares)
    assert 0 < lost["posterior"] < 0.06, lost
    assert (1 - np.euler_gamma) / 2 / np.log(2) < lost["beta"] < 0.6, lost


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("deviation", [0.003, 0.2])
def test_discretized_masses_are_those_of_the_bins(levels, deviation):
    """In logarithms and far into both tails, against the error function of scipy in float64."""
    grey = 2 * np.arange(levels) / (levels - 1) - 1
    mean = np.linspace(-1.1, 1.1, 5)[:, None]
    decoder = DiscretizedGaussian(levels=levels)
    x, centre = (jnp.asarray(a, jnp.float32) for a in np.broadcast_arrays(grey[None], mean))
    found = jax.jit(decoder)(x, centre, jnp.float32(deviation))
    edges = np.concatenate([[-np.inf], (grey[1:] + grey[:-1]) / 2, [np.inf]])
    low, high = ((edges[part][None] - mean) / deviation for part in (slice(-1), slice(1, None)))
    low, high = np.where(low + high > 0, -high, low), np.where(low + high > 0, -low, high)
    logs = scipy.special.log_ndtr(high), scipy.special.log_ndtr(low)
    expected = scipy.special.logsumexp(np.stack(logs), b=np.reshape([1, -1], (2, 1, 1)), axis=0)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), np.ones(5), rtol=1e-4)


def test_discretized_masses_can_be_differentiated():
    """By the mean, the lowest and the highest level included, against difference quotients."""
    decoder = DiscretizedGaussian(levels=5)

    @jax.jit
    def mass(mean):
        return decoder(jnp.linspace(-1, 1, 5), mean, jnp.asarray(0.3))

    found = jax.jit(jax.jacfwd(mass))(np.float32(0.1))
    with jax.enable_x64(True):
        quotient = (np.asarray(mass(0.1 + 1e-5)) - mass(0.1 - 1e-5)) / 2e-5
    np.testing.assert_allclose(found, quotient, rtol=1e-4, atol=1e-4)


def test_narrow_bins_have_the_density_times_their_width():
    x = np.float32(2 * np.arange(40, 60) / 255 - 1)
    arguments = x, x + np.float32(0.1), np.float32(0.2)
    mass, density = (
        np.asarray(jax.jit(decoder)(*arguments))
        for decoder in (DiscretizedGaussian(), GaussianDensity())
    )
    np.testing.assert_allclose(mass, density + np.log(2 / 255), atol=1e-3)
    np.testing.assert_allclose(density, scipy.stats.norm.logpdf(x, x + 0.1, 0.2), rtol=1e-5)


def test_every_level_is_visited_once_at_its_own_time(key):
    times = []

    def score(x, t):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return -x

    found = evaluate(VariationalBound(chain=DDPMChain(levels=25)), score, jnp.ones((2, 1)), key)
    jax.effects_barrier()
    np.testing.assert_array_equal(found.nfe, [25, 25])
    np.testing.assert_allclose(sorted(times), np.arange(25) / 24, rtol=1e-6)


def test_memory_does_not_grow_with_the_levels(key):
    """But for the terms, one number for each level and example, of examples of 3072."""

    def temporary(levels):
        bound = VariationalBound(chain=DDPMChain(levels=levels))
        run = jax.jit(lambda keys, x: bound(keys, lambda x, t: -x, VP, x))
        compiled = run.lower(keys(key, 4), jnp.zeros((4, 3072))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(1000) < 4 * 3072 * 4 * 20 + 900 * 4 * 4 * 10


def test_a_bound_depends_on_its_own_key_wherever_it_is(key):
    """In a batch, and alone on each of eight devices."""
    bound = VariationalBound(chain=DDPMChain(levels=25), variance="posterior")
    score = score_of_line(*exact_line(25))
    x, all_keys = jnp.linspace(-1, 2, 16).reshape(8, 2), keys(key, 8)
    run = jax.jit(lambda keys, x: bound(keys, score, VP, x))
    together = run(all_keys, x)
    spread = jax.NamedSharding(jax.make_mesh((8,), ("data",)), jax.P("data"))
    apart = run(*jax.device_put((all_keys, x), spread))
    for one, other in zip(jax.tree.leaves(apart), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert len(np.unique(np.asarray(run(all_keys, jnp.ones((8, 2))).nats))) == 8


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`variance` must be .beta. or .posterior.: got "):
        VariationalBound(variance="alpha")
    with pytest.raises(ValueError, match=r"^`levels` must be at least 2: got levels=1"):
        DiscretizedGaussian(levels=1)
    with pytest.raises(ValueError, match=r"preserve a unit variance"):
        VariationalBound()(
            keys(jax.random.key(0), 1), lambda x, t: -x, SDES["ve"], jnp.ones((1, 1))
        )
