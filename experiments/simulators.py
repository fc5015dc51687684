"""Posteriors of four simulators of sbibm, from 10,000 simulations each."""

from dataclasses import replace

from sde_jax.data import (
    SLCP,
    GaussianLinearUniform,
    GaussianMixtureMean,
    Simulator,
    TwoMoons,
)
from sde_jax.nets import MLPSpec, VectorStandardization
from sde_jax.objectives import LikelihoodTimes, LikelihoodWeighting
from sde_jax.recipes import ScoreExperiment, numbers
from sde_jax.score import LogNoiseLevel


def two_moons() -> ScoreExperiment:
    """Two parameters with crescents as posterior (sbibm), VP on 10,000 simulations.

    sde-jax train two_moons

    A minute of one CPU core; C2ST about .55 against ten reference posteriors.
    """
    return posterior(TwoMoons())


def slcp() -> ScoreExperiment:
    """Five parameters of a Gaussian of which four points are seen (sbibm), VP.

    sde-jax train slcp

    The posterior has four modes. A minute of one CPU core; C2ST not yet measured.
    """
    return posterior(SLCP())


def gaussian_linear_uniform() -> ScoreExperiment:
    """Ten parameters seen through Gaussian noise, uniform before (sbibm), VP.

    sde-jax train gaussian_linear_uniform

    A minute of one CPU core; C2ST not yet measured.
    """
    return posterior(GaussianLinearUniform())


def gaussian_mixture() -> ScoreExperiment:
    """Two parameters seen through a mixture of a wide and a narrow Gaussian (sbibm), VP.

    sde-jax train gaussian_mixture

    A minute of one CPU core; C2ST not yet measured.
    """
    return posterior(GaussianMixtureMean())


def posterior(simulator: Simulator) -> ScoreExperiment:
    """Returns the experiment of the posteriors of a simulator.

    Its times are uniform in the log of the noise level, since posteriors may be far narrower than
    the prior.
    """
    usual = numbers()
    _, simulations = simulator.simulations()
    return replace(
        usual,
        data=simulator,
        network=MLPSpec(
            width=128, depth=4, normalize=True, vector=VectorStandardization.of(simulations)
        ),
        time_condition=LogNoiseLevel(scale=40.0),
        times=LikelihoodTimes(t_min=1e-4),
        weighting=LikelihoodWeighting(),
        label_dropout=0.0,
        optimizer=replace(usual.optimizer, learning_rate=3e-3),
        training=replace(
            usual.training,
            steps=6000,
            eval_every=300,
            eval_examples=None,
            checkpoint_every=6000,
        ),
        sampling=replace(usual.sampling, steps=30),
        evaluation=replace(usual.evaluation, likelihood_count=None),
    )
