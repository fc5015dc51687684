"""Single steps of the published samplers, at their own states, noise and scores.

Where the formula is the same (Euler-Maruyama; every step of VE; the batch norms of Langevin) the
tolerance is rounding. Reverse diffusion and the ancestral step of VP discretize with
``beta_i = beta(i / (N - 1)) / N`` there and with the exact transition here: they differ by
O(beta_i^2), at most 1 % of a step. The reference's ancestral noise for VP is ``sqrt(beta_i)``, an
upper bound of the posterior's deviation (Ho et al. 2020, sec. 3.2): only its means are compared.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES

from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    EulerMaruyama,
    Langevin,
    ReverseDiffusion,
    ScheduledStep,
)

STEPS = 1000
TIMES = {"t1": 1.0, "t05": 0.5, "t001": 0.01}
each_time = pytest.mark.parametrize("time", TIMES)


@pytest.fixture(params=["vp", "ve"])
def published(request, shared):
    return request.param, np.load(shared / "parity" / "sampler" / f"step_{request.param}.npz")


def replay(file, case, time, move, sde, t, s):
    """One move from the reference's state, and the reference's own result."""
    score = jnp.asarray(file[f"{time}/{case}/scores"][0])
    step = move(
        jnp.asarray(file[f"{time}/noise"][0]),
        lambda x, t: score,
        sde,
        jnp.asarray(file[f"{time}/x"]),
        jnp.asarray(t, jnp.float32),
        jnp.asarray(s, jnp.float32),
    )
    return step, file[f"{time}/{case}/x_out"], file[f"{time}/{case}/x_mean"]


def check(result, state, tolerance):
    """Of the change that the step makes, by the largest element."""
    step, expected, mean = result
    for ours, theirs in ((step.x, expected), (step.mean, mean)):
        scale = np.abs(theirs - state).max()
        rounding = 2e-6 * np.abs(theirs).max()
        assert np.abs(ours - theirs).max() <= tolerance * scale + rounding


@each_time
def test_euler_maruyama(published, time):
    """The reference's step is 1 / N from any t: the same formula."""
    name, file = published
    t = TIMES[time]
    result = replay(file, "euler_maruyama", time, EulerMaruyama(), SDES[name], t, t - 1 / STEPS)
    check(result, file[f"{time}/x"], 1e-4)


@each_time
@pytest.mark.parametrize("case", ["reverse_diffusion", "ancestral_sampling"])
def test_discretized_steps(published, case, time):
    name, file = published
    index = int(np.float32(TIMES[time]) * np.float32(STEPS - 1))
    move = {"reverse_diffusion": ReverseDiffusion(), "ancestral_sampling": Ancestral()}[case]
    if name == "ve":
        t, s = index / (STEPS - 1), (index - 1) / (STEPS - 1)
        tolerance = 1e-3
    else:
        # the interval whose integral of beta is beta_i: centred where beta(t) is
        centre = index / (STEPS - 1)
        t, s = centre + 0.5 / STEPS, centre - 0.5 / STEPS
        tolerance = 0.012
    step, expected, mean = replay(file, case, time, move, SDES[name], t, s)
    if (name, case) == ("vp", "ancestral_sampling"):
        step, expected = step._replace(x=step.mean), mean
    check((step, expected, mean), file[f"{time}/x"], tolerance)


@each_time
def test_langevin_with_batch_norms(published, time):
    """For VP, alpha_i = 1 - beta_i there is exp(-beta_i) here: 2e-4 of the step."""
    name, file = published
    index = int(np.float32(TIMES[time]) * np.float32(STEPS - 1))
    centre = index / (STEPS - 1)
    t, s = centre + 0.5 / STEPS, centre - 0.5 / STEPS
    corrector = Langevin(snr=0.16, step_size=BatchNormStep())
    result = replay(file, "langevin_n1", time, corrector, SDES[name], t, s)
    check(result, file[f"{time}/x"], 3e-4)


@each_time
def test_annealed_langevin(published, time):
    """``2 alpha (snr sigma)^2``, the default step here, is the reference's annealed corrector."""
    name, file = published
    # The step's sigma is that at t, its alpha the reference's alpha_i: s lies a whole step below.
    t = TIMES[time]
    corrector = Langevin(snr=0.16, step_size=ScheduledStep())
    result = replay(file, "ald_n1", time, corrector, SDES[name], t, t - 1 / STEPS)
    check(result, file[f"{time}/x"], 1e-3)
