"""A ring in the plane: one process, three ways to match its score."""

from dataclasses import replace

from sde_jax.data import Ring
from sde_jax.nets import MLPSpec
from sde_jax.recipes import (
    EvaluationSettings,
    Implicit,
    LikelihoodSettings,
    SamplerSettings,
    ScoreExperiment,
    Sliced,
)
from sde_jax.sde import OrnsteinUhlenbeck
from sde_jax.training import Adam, Training


def ring() -> ScoreExperiment:
    """A ring in the plane, Ornstein-Uhlenbeck: forward and reverse process, and the vector field.

    sde-jax train ring

    `python -m experiments ring` draws the pictures of the process. Two CPU cores, 4 minutes;
    Wasserstein-1 distances of .01 in radius and .02 in angle.
    """
    return ScoreExperiment(
        data=Ring(),
        sde=OrnsteinUhlenbeck(),
        network=MLPSpec(),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.999,
        training=Training(steps=10_000, batch_size=512),
        sampling=SamplerSettings(steps=4000),
        likelihood=LikelihoodSettings(t_min=1e-3),
        evaluation=EvaluationSettings(
            count=10_000,
            reference_count=10_000,
            metrics=("frechet", "kernel", "precision-recall", "density-coverage", "likelihood"),
            features=("coordinates",),
            sampling=SamplerSettings(sampler="ode", tolerance=1e-4),
        ),
    )


def ring_implicit() -> ScoreExperiment:
    """A ring in the plane, Ornstein-Uhlenbeck, by implicit score matching.

    sde-jax train ring_implicit

    How much of the noise of sliced score matching comes from its random directions? By integration
    by parts, the mean of |s - true score|^2 equals, up to a constant, that of

        |s(x_t, t)|^2 + 2 tr J,   J = ds / dx

    (Hyvarinen 2005, theorem 1). The trace costs one product with the Jacobian for each dimension:
    two here, a thousand for an image of MNIST. Network, process and steps are those of `ring`.
    Compare with `ring_sliced`; `ring_matching` explains the comparison and has the numbers.
    """
    return replace(ring(), matching=Implicit())


def ring_sliced() -> ScoreExperiment:
    """A ring in the plane, Ornstein-Uhlenbeck, by sliced score matching.

    sde-jax train ring_sliced

    Can a score be learned without knowing the noise? By integration by parts, the mean of
    |s - true score|^2 equals, up to a constant, that of

        |s(x_t, t)|^2 + 2 v . J v,   J = ds / dx,   v = (+-1, +-1) at random

    (Song et al. 2019, arXiv:1905.07088, section 3: SSM-VR). It costs one product of the Jacobian
    with a random direction, whatever the dimension. Network, process and steps are those of `ring`,
    whose denoising knows the noise; `ring_matching` compares them and has the numbers.
    """
    return replace(ring(), matching=Sliced())
