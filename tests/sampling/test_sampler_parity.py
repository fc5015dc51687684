"""Single steps of the published samplers, at their own states, noise and scores, to rounding.

The four states of case `tmix` are each at a time of their own.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES

from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    Langevin,
    ReverseDiffusion,
    ScheduledStep,
)
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain

N = 1000
CHAINS = {"vp": DDPMChain(levels=N), "subvp": EulerChain(steps=N), "ve": SMLDChain(levels=N)}
ANCESTRAL = {
    "vp": Ancestral(transition=CHAINS["vp"], variance="beta"),
    "ve": Ancestral(transition=CHAINS["ve"]),
}

each_time = pytest.mark.parametrize("time", ["t1", "t05", "t001", "tmix"])
each_file = pytest.mark.parametrize("name", ["vp", "subvp", "ve", "vp_disc", "ve_disc"])
each_with_chain = pytest.mark.parametrize("name", ["vp", "ve", "vp_disc", "ve_disc"])


@pytest.fixture
def published(name, time, parity):
    """The arrays of one file at one choice of times, and the process that it is of."""
    kept = (name, time) == ("vp", "tmix")
    file = parity(f"sampler/step_{name}_{time}" if kept else f"sampler/step_{name}")
    prefix = f"{time}/"
    arrays = {key.removeprefix(prefix): file[key] for key in file if key.startswith(prefix)}
    return {key: jnp.asarray(array) for key, array in arrays.items()}, name.removesuffix("_disc")


def check(arrays, case, sde, move, moves=1, tolerance=4e-5):
    """Makes ``moves`` from the reference's state, and compares with the reference's own result.

    To rounding, of the change and of the state. The next time of the grid is not a number, nor
    would be what used it.
    """
    x, t = arrays["x"], arrays["t"]
    for score, noise in zip(arrays[f"{case}/scores"], arrays["noise"][:moves], strict=True):
        step = move(noise, lambda x, t, score=score: score, sde, x, t, jnp.full_like(t, jnp.nan))
        x = step.x
    for ours, name in ((step.x, "x_out"), (step.mean, "x_mean")):
        theirs = arrays[f"{case}/{name}"]
        difference, change, size = (
            np.abs(array).max(axis=(1, 2, 3))
            for array in (ours - theirs, theirs - arrays["x"], theirs)
        )
        assert (difference <= tolerance * change + 4e-7 * size).all(), (case, name)


@each_file
@each_time
@pytest.mark.parametrize("flow", [False, True], ids=["", "probability_flow"])
def test_reverse_diffusion(published, flow):
    arrays, process = published
    move = ReverseDiffusion(transition=CHAINS[process], probability_flow=flow)
    check(arrays, f"reverse_diffusion{'_pf' * flow}", SDES[process], move)


@each_file
@each_time
def test_euler_maruyama(published):
    """The reference's step is 1 / N from any t."""
    arrays, process = published
    move = ReverseDiffusion(transition=EulerChain(steps=N))
    check(arrays, "euler_maruyama", SDES[process], move)


@each_with_chain
@each_time
def test_ancestral(published):
    arrays, process = published
    check(arrays, "ancestral_sampling", SDES[process], ANCESTRAL[process])


@each_with_chain
@each_time
@pytest.mark.parametrize("moves", [1, 2])
def test_langevin_with_batch_norms(published, moves):
    arrays, process = published
    move = Langevin(snr=0.16, step_size=BatchNormStep(), transition=CHAINS[process])
    check(arrays, f"langevin_n{moves}", SDES[process], move, moves)


@each_with_chain
@each_time
def test_annealed_langevin(published):
    """The reference's float32 sigma of VP is wrong by up to 5e-5 at t = .002."""
    arrays, process = published
    move = Langevin(snr=0.16, step_size=ScheduledStep(), transition=CHAINS[process])
    check(arrays, "ald_n1", SDES[process], move, tolerance=1e-4)
