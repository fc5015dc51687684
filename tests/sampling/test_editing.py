"""SDEdit of Gaussian data: the law of what a guide becomes is known in closed form."""

import functools
import re

import jax
import numpy as np
import oracles
import pytest
from cases import DEVIATION, MEAN, SDES, gaussian, keys

from sde_jax.sampling import (
    DDIM,
    AdaptiveReversal,
    Ancestral,
    BlindAscent,
    Edit,
    EulerMaruyama,
    ExponentialAdams,
    Heun,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    UniformGrid,
)
from sde_jax.score import MixtureScore

COUNT, START = 2000, 0.4
GUIDES = (-1.1, 2.3)


def predicting(predictor, steps, **more):
    return PredictorCorrector(grid=LogSNRGrid(steps=steps), predictor=predictor, **more)


STOCHASTIC = {
    "ancestral": predicting(Ancestral(), 100),
    "em": PredictorCorrector(grid=UniformGrid(steps=300), predictor=EulerMaruyama()),
    "ddim-eta-1": predicting(DDIM(eta=1.0), 100),
    "adaptive-reversal": AdaptiveReversal(rtol=3e-3, atol=3e-3),
}
FLOWS = {
    "unipc": ExponentialAdams(grid=LogSNRGrid(steps=25)),
    "ddim": predicting(DDIM(), 200),
    "heun": predicting(Heun(), 30),
    "ode": ProbabilityFlow(),
}
QUICK = [("ou", "ancestral"), ("ve", "unipc")]
SLOW = [
    *((name, sampler) for name in SDES for sampler in ("ancestral", "unipc")),
    *(("vp", sampler) for sampler in ("em", "ddim", "ddim-eta-1", "heun")),
    *(("ve", "adaptive-reversal"), ("subvp", "ode")),
]
CASES = QUICK + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in QUICK]


def law(name, guide, *, follows_flow, start=START):
    """Mean and deviation of the posterior mean at the end of sampling, by regression in float64.

    ``x_t = alpha g + sigma noise`` at the start; of the Gaussian process, x_s given x_t has the
    slope ``cov(x_s, x_t) / var(x_t)``, along the flow that of the deviations.
    """
    process, end = oracles.PROCESSES[name], float(SDES[name].sampling_end)
    (a_t, s_t), (a_s, s_s) = ((process.alpha(t), process.sigma(t)) for t in (start, end))
    var_t, var_s = ((a * DEVIATION) ** 2 + s**2 for a, s in ((a_t, s_t), (a_s, s_s)))
    covariance = a_t * a_s * DEVIATION**2 + a_t / a_s * s_s**2
    slope = np.sqrt(var_s / var_t) if follows_flow else covariance / var_t
    left = 0.0 if follows_flow else var_s - covariance**2 / var_t
    mean, variance = slope * a_t * (guide - MEAN), slope**2 * s_t**2 + left
    denoising = a_s * DEVIATION**2 / var_s
    return MEAN + denoising * mean, denoising * np.sqrt(variance)


@functools.partial(jax.jit, static_argnums=(0, 2))
def compiled(edit, keys, sde, guides):
    return edit(keys, MixtureScore(gaussian(), sde), sde, guides)


def edited(edit, sde, guides, key):
    guides = np.float32(guides).reshape(-1, 1)
    return compiled(edit, keys(key, len(guides)), sde, guides)


def check(x, mean, deviation, *, bias):
    """Within 5 standard errors of the draws, and ``bias`` of the sampler's steps."""
    n = x.size
    z_mean = (abs(x.mean() - mean) - bias) / (deviation / np.sqrt(n))
    z_deviation = (abs(x.std(ddof=1) - deviation) - bias) / (deviation / np.sqrt(2 * n))
    assert z_mean < 5, f"mean {x.mean()}, not {mean}: {z_mean} standard errors of n={n}"
    assert z_deviation < 5, f"deviation {x.std()}, not {deviation}: {z_deviation} of n={n}"


@pytest.mark.parametrize(("name", "sampler"), CASES)
def test_the_law_of_the_edits_of_a_guide(name, sampler, key):
    """Of two guides, mixed in one batch, each has its own."""
    edit = Edit(sampler=(STOCHASTIC | FLOWS)[sampler], start=START)
    count = 400 if sampler == "adaptive-reversal" else COUNT
    samples = edited(edit, SDES[name], np.tile(GUIDES, count // 2), key)
    assert samples.converged.all()
    for i, guide in enumerate(GUIDES):
        mean, deviation = law(name, guide, follows_flow=sampler in FLOWS)
        check(np.asarray(samples.x)[i::2], mean, deviation, bias=0.003)


def test_from_the_prior_an_edit_is_a_sample(key):
    """The prior forgets the guide but for ``alpha(1) = .0066`` of it."""
    sampler, sde = FLOWS["ddim"], SDES["vp"]
    samples = edited(Edit(sampler=sampler, start=1.0), sde, np.full(COUNT, 2.3), key)
    check(np.asarray(samples.x), MEAN, DEVIATION, bias=DEVIATION * 0.0066 * 1.6 + 0.003)
    score = MixtureScore(gaussian(), sde)
    plain = jax.jit(lambda keys: sampler(keys, score, sde, (1,)))(keys(key, COUNT))
    # Of the same keys, and the flow carries a shift of .0066 (g - m) in the prior to .4 of that.
    shift = np.asarray(samples.x - plain.x)
    np.testing.assert_allclose(shift, 0.4 * 0.0066 * 2.3, atol=1e-3)


def test_little_noise_keeps_the_guide(key):
    sampler = FLOWS["ddim"]
    samples = edited(Edit(sampler=sampler, start=0.01), SDES["vp"], GUIDES, key)
    # sigma(.01) = .045
    np.testing.assert_allclose(samples.x[:, 0], GUIDES, atol=5 * 0.045)


REFUSALS = [
    (predicting(Ancestral(), 5, end="state"), 0.5, "`sampler` must end with the posterior mean"),
    (predicting(Ancestral(), 5, end="mean"), 0.5, "`sampler` must end with the posterior mean"),
    (ProbabilityFlow(denoise=False), 0.5, "`sampler` must end with the posterior mean"),
    (AdaptiveReversal(denoise=False), 0.5, "`sampler` must end with the posterior mean"),
    (ProbabilityFlow(frames=3), 0.5, "`sampler` must not record frames: got frames=3."),
    (ProbabilityFlow(), 0.0, "`start` must be in (0, 1]: got start=0.0."),
    (ProbabilityFlow(), 1.1, "`start` must be in (0, 1]: got start=1.1."),
    (ProbabilityFlow(), float("nan"), "`start` must be in (0, 1]: got start=nan."),
]


@pytest.mark.parametrize(("sampler", "start", "message"), REFUSALS)
def test_what_cannot_be_edited_by_is_refused(sampler, start, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Edit(sampler=sampler, start=start)


def test_a_start_where_sampling_has_ended_is_refused(key):
    with pytest.raises(
        ValueError, match=r"^`end` must be above 0\.001, the end of sampling of SubVP"
    ):
        edited(Edit(sampler=ProbabilityFlow(), start=1e-3), SDES["subvp"], GUIDES, key)


def test_samplers_that_always_denoise_are_taken():
    Edit(sampler=BlindAscent(), start=0.5)
    Edit(sampler=predicting(Ancestral(), 5, corrector=Langevin()), start=0.5)
