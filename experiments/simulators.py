"""Posteriors of four simulators of sbibm, from 10,000 simulations each."""

from sde_jax.data import (
    SLCP,
    GaussianLinearUniform,
    GaussianMixtureMean,
    Simulator,
    TwoMoons,
)
from sde_jax.nets import MLPSpec, VectorStandardization
from sde_jax.recipes import (
    EvaluationSettings,
    LikelihoodSettings,
    SamplerSettings,
    ScoreExperiment,
)
from sde_jax.sde import VP
from sde_jax.training import Adam, Training


def two_moons() -> ScoreExperiment:
    """Two parameters with crescents as posterior (sbibm), VP on 10,000 simulations.

    sde-jax train two_moons

    One CPU core, N minutes; C2ST .N against ten reference posteriors.
    """
    return posterior(TwoMoons())


def slcp() -> ScoreExperiment:
    """Five parameters of a Gaussian of which four points are seen (sbibm), VP.

    sde-jax train slcp

    The posterior has four modes. One CPU core, N minutes; C2ST .N against ten reference posteriors.
    """
    return posterior(SLCP())


def gaussian_linear_uniform() -> ScoreExperiment:
    """Ten parameters seen through Gaussian noise, uniform before (sbibm), VP.

    sde-jax train gaussian_linear_uniform

    One CPU core, N minutes; C2ST .N against ten reference posteriors.
    """
    return posterior(GaussianLinearUniform())


def gaussian_mixture() -> ScoreExperiment:
    """Two parameters seen through a mixture of a wide and a narrow Gaussian (sbibm), VP.

    sde-jax train gaussian_mixture

    One CPU core, N minutes; C2ST .N against ten reference posteriors.
    """
    return posterior(GaussianMixtureMean())


def posterior(simulator: Simulator) -> ScoreExperiment:
    """Returns the experiment of the posteriors of a simulator."""
    _, simulations = simulator.simulations()
    sampling = SamplerSettings(sampler="unipc", steps=30)
    return ScoreExperiment(
        data=simulator,
        sde=VP(),
        network=MLPSpec(
            width=128, depth=4, normalize=True, vector=VectorStandardization.of(simulations)
        ),
        label_dropout=0.0,
        optimizer=Adam(learning_rate=1e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.999,
        training=Training(
            steps=6000, batch_size=256, eval_every=300, checkpoint_every=6000, keep_best=True
        ),
        sampling=sampling,
        likelihood=LikelihoodSettings(t_min=1e-4, tolerance=1e-4, trace="exact"),
        evaluation=EvaluationSettings(
            count=2000,
            likelihood_count=1000,
            metrics=("likelihood",),
            features=(),
            sampling=sampling,
        ),
    )
