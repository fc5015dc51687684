"""Samplers and likelihoods compute in the precision of their inputs, and check these."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, gaussian

from sde_jax.likelihood import (
    ExactTrace,
    Hutchinson,
    Likelihood,
    MultistepLikelihood,
    VariationalBound,
    even_times,
)
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.ode import AdaptiveSolver
from sde_jax.randomness import example_seeds, unit_noise
from sde_jax.sampling import (
    DDIM,
    AdaptiveReversal,
    Ancestral,
    BlindAscent,
    Churn,
    Constrained,
    Edit,
    EulerMaruyama,
    ExponentialAdams,
    Heun,
    KarrasGrid,
    KnownPixels,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    PublishedGrid,
    ReverseDiffusion,
    UniformGrid,
    tempered,
)
from sde_jax.score import GaussianMixture, MixtureScore, gaussian_flow
from sde_jax.sde import VP, DDPMChain

SDE, GRID = VP(), UniformGrid(steps=3)
KEYS = jax.random.split(jax.random.key(0), 2)
CHAIN = DDPMChain(levels=50)
STEPPING = PredictorCorrector(grid=GRID, predictor=EulerMaruyama())
SAMPLERS = {
    "em": STEPPING,
    "pc": PredictorCorrector(grid=GRID, predictor=ReverseDiffusion(), corrector=Langevin()),
    "published": PredictorCorrector(
        grid=PublishedGrid(steps=3), predictor=ReverseDiffusion(transition=CHAIN), end="mean"
    ),
    "ancestral": PredictorCorrector(grid=LogSNRGrid(steps=3), predictor=Ancestral(), frames=2),
    "ddim": PredictorCorrector(grid=KarrasGrid(steps=3), predictor=DDIM(eta=0.5)),
    "heun": PredictorCorrector(grid=GRID, predictor=Heun(churn=Churn(growth=0.1))),
    "unipc": ExponentialAdams(grid=LogSNRGrid(steps=4)),
    "sde-dpm++": ExponentialAdams(grid=LogSNRGrid(steps=4), order=2, eta=1.0, corrected=False),
    "ode": ProbabilityFlow(frames=2),
    "published ode": ProbabilityFlow(ending=ReverseDiffusion(transition=CHAIN)),
    "shark": AdaptiveReversal(),
    "blind": BlindAscent(max_steps=3),
}
LIKELIHOODS = {
    "adaptive": Likelihood(divergence=Hutchinson(probes=2, gaussian=True)),
    "exact": Likelihood(divergence=ExactTrace()),
    "multistep": MultistepLikelihood(times=even_times(SDE, 1e-2, 5)),
    "bound": VariationalBound(chain=CHAIN),
}


def mixture_of(dtype):
    return GaussianMixture(*(jnp.asarray(x, dtype) for x in jax.tree.leaves(gaussian(2))))


def types_of(f, *inputs):
    """The types of all floating-point numbers that ``f`` returns, without computing them."""
    leaves = jax.tree.leaves(jax.eval_shape(f, *inputs))
    return {str(x.dtype) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}


def quick_or_slow(names, *quick):
    """The names as parameters; tracing takes long for those that are not ``quick``."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


QUICK = ("pc", "published", "ancestral", "unipc", "published ode")


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", quick_or_slow(SAMPLERS, *QUICK))
def test_samples_have_the_type_of_the_score(name, dtype):
    with jax.enable_x64(True):
        score, sampler = MixtureScore(mixture_of(dtype), SDE), SAMPLERS[name]
        assert types_of(lambda keys: sampler(keys, score, SDE, (2,)), KEYS) == {dtype}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("of_score", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("name", quick_or_slow(LIKELIHOODS, "adaptive", "multistep", "bound"))
def test_densities_have_the_type_of_the_examples(name, of_score, dtype):
    likelihood = LIKELIHOODS[name]
    with jax.enable_x64(True):
        score, x = MixtureScore(mixture_of(of_score), SDE), jnp.ones((2, 2), dtype)
        assert types_of(lambda keys, x: likelihood(keys, score, SDE, x), KEYS, x) == {dtype}


FLOW = ProbabilityFlow()
KNOWN = {"data": np.ones((2, 2)), "mask": np.asarray([[1, 0]])}
WRAPPERS = {
    "edit": lambda score, x: Edit(sampler=STEPPING, start=0.5)(KEYS, score, SDE, x).x,
    "replace": lambda score, x: (
        Constrained(
            sampler=STEPPING,
            constraint=KnownPixels(**{k: jnp.asarray(v) for k, v in KNOWN.items()}),
        )(KEYS, score, SDE, (2,)).x
    ),
    "encode": lambda score, x: FLOW.encode(score, SDE, x).y,
    "decode": lambda score, x: FLOW.decode(score, SDE, x).y,
    "temper": lambda score, x: tempered(FLOW, score, SDE, KEYS, (2,), jnp.asarray(0.5)).x,
}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", quick_or_slow(WRAPPERS, "edit", "replace"))
def test_what_wraps_a_sampler_has_the_type_of_its_inputs(name, dtype):
    with jax.enable_x64(True):
        score, x = MixtureScore(mixture_of(dtype), SDE), jnp.ones((2, 2), dtype)
        assert types_of(lambda x: WRAPPERS[name](score, x), x) == {dtype}


def test_a_flow_in_float64_is_that_of_exact_arithmetic():
    """Steps of the flow map a Gaussian linearly; the product of their factors is exact."""
    steps = 40
    flow = ReverseDiffusion(probability_flow=True)
    sampler = PredictorCorrector(grid=UniformGrid(steps=steps, t_min=0.01), predictor=flow)
    sampler = dataclasses.replace(sampler, end="state", frames=1)
    with jax.enable_x64(True):
        score = MixtureScore(mixture_of("float64"), SDE)
        samples = jax.jit(lambda keys: sampler(keys, score, SDE, (2,)))(KEYS)
    x = np.asarray(samples.trajectory[:, 0])
    times = np.linspace(1, 0.01, steps + 1)
    integral = times * (0.1 + times * 19.9 / 2)
    alpha, variance = np.exp(-integral / 2), -np.expm1(-integral)
    for later, earlier in zip(range(steps), range(1, steps + 1), strict=True):
        scale = alpha[later] / alpha[earlier]
        added = variance[later] - scale**2 * variance[earlier]
        spread = alpha[later] ** 2 * DEVIATION**2 + variance[later]
        x = (2 - scale) * x - added * (x - alpha[later] * MEAN) / spread / 2
    np.testing.assert_allclose(samples.x, x, rtol=1e-11)


@pytest.mark.slow("test_a_flow_in_float64_is_that_of_exact_arithmetic")
def test_a_density_in_float64_is_that_of_exact_arithmetic():
    """Up to the prior, which is that of the flow's end and not quite the process' own."""
    solver = AdaptiveSolver(rtol=1e-10, atol=1e-10)
    likelihood = Likelihood(solver=solver, t_min=1e-2, divergence=ExactTrace())
    with jax.enable_x64(True):
        mixture, x = mixture_of("float64"), jnp.asarray([[0.3, -0.5], [1.4, 0.9]])
        score, times = MixtureScore(mixture, SDE), (jnp.asarray(1e-2), jnp.asarray(1.0))
        found = jax.jit(lambda keys, x: likelihood(keys, score, SDE, x))(KEYS, x)
        latent = gaussian_flow(mixture, SDE, x, *times)
        prior = jax.scipy.stats.norm.logpdf(latent).sum(axis=1)
        expected = mixture.log_density(SDE, x, times[0]) + prior
        expected -= mixture.log_density(SDE, latent, times[1])
    np.testing.assert_allclose(found.nats, expected, rtol=1e-8)


SCORE = MixtureScore(gaussian(2), SDE)
CALLS = {
    **{
        name: lambda keys, x, sampler=sampler: sampler(keys, SCORE, SDE, (2,))
        for name, sampler in SAMPLERS.items()
    },
    **{
        name: lambda keys, x, likelihood=likelihood: likelihood(keys, SCORE, SDE, x)
        for name, likelihood in LIKELIHOODS.items()
    },
    "edit": lambda keys, x: Edit(sampler=STEPPING, start=0.5)(keys, SCORE, SDE, x),
    "temper": lambda keys, x: tempered(SAMPLERS["ode"], SCORE, SDE, keys, (2,), 0.5),
    "noise": lambda keys, x: unit_noise(keys, (2,)),
}
SLOW = ("ancestral", "ddim", "heun", "unipc", "sde-dpm++")


@pytest.mark.parametrize("name", quick_or_slow(CALLS, *[n for n in CALLS if n not in SLOW]))
def test_one_key_is_no_batch_of_keys(name):
    call, x = CALLS[name], jnp.ones((2, 2))
    for key in (KEYS[0], jax.random.PRNGKey(0)):
        with pytest.raises(ValueError, match=r"^`keys` must be one key for each .*got one key\. "):
            call(key, x)
    for wrong in (3, np.ones(2), None, KEYS[None]):
        with pytest.raises(ValueError, match=r"^`keys` must be one key for each example"):
            call(wrong, x)


def test_raw_keys_are_keys():
    raw, x = jax.random.key_data(KEYS), jnp.ones((2, 2))
    np.testing.assert_array_equal(unit_noise(raw, (2,)), unit_noise(KEYS, (2,)))
    for name in ("em", "multistep"):
        one, other = (jax.eval_shape(CALLS[name], keys, x) for keys in (raw, KEYS))
        assert one == other


@pytest.mark.parametrize("name", [*LIKELIHOODS, "edit"])
def test_examples_are_floating_point_numbers_with_a_key_each(name):
    message = r"must be floating-point examples .*got uint8 \[2, 2\]\. `dequantize` of"
    with pytest.raises(ValueError, match=message):
        CALLS[name](KEYS, np.ones((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"of shape \[3\]: got keys of shape \[2\]\. Split one"):
        CALLS[name](KEYS, np.ones((3, 2), np.float32))


def test_grey_levels_are_no_states_of_the_flow_and_no_training_examples():
    levels, flow = np.ones((2, 2), np.uint8), SAMPLERS["ode"]
    objective = DenoisingScoreMatching(model=None)
    for call in (
        lambda: flow.encode(SCORE, SDE, levels),
        lambda: flow.decode(SCORE, SDE, levels),
        lambda: flow.carry(SCORE, SDE, levels),
        lambda: objective.losses({}, example_seeds(KEYS[0], 2), levels),
    ):
        with pytest.raises(ValueError, match="must be floating-point examples .* got uint8"):
            call()


@pytest.mark.parametrize("name", quick_or_slow(["exact", "ode", "shark"], "exact"))
def test_forward_mode_through_an_adaptive_solve_is_refused_with_the_way_out(name):
    with pytest.raises(ValueError, match=r"reverse mode alone: use `jax\.grad`"):
        jax.eval_shape(jax.jacfwd(of_scale(name)), jnp.ones(()))


def test_forward_mode_through_fixed_steps():
    jax.eval_shape(jax.jacfwd(of_scale("multistep")), jnp.ones(()))


def of_scale(name):
    """What a call returns, as a function of a factor of examples and score."""

    def call(factor):
        score = jax.tree_util.Partial(lambda factor, x, t: -factor * x, factor)
        tool = (SAMPLERS | LIKELIHOODS)[name]
        last = (2,) if name in SAMPLERS else factor * jnp.ones((2, 2))
        return tool(KEYS, score, SDE, last)[0]

    return call


@pytest.mark.slow("test_forward_mode_through_fixed_steps")
def test_the_gradient_of_a_density_is_the_score():
    likelihood = Likelihood(t_min=1e-2, divergence=ExactTrace())
    x = jnp.asarray([[0.3, -0.5], [1.4, 0.9]])
    gradient = jax.jit(jax.grad(lambda x: likelihood(KEYS, SCORE, SDE, x).nats.sum()))(x)
    np.testing.assert_allclose(gradient, SCORE(x, jnp.asarray(1e-2)), rtol=0.02)
