"""Handwritten digits (8x8): score models and classifiers, in minutes of two CPU cores."""

from dataclasses import replace

from sde_jax.data import Digits
from sde_jax.nets import ClassifierSpec, NCSNppSpec, PooledUNetSpec
from sde_jax.objectives import DiscreteTimes, FlowWeighting
from sde_jax.recipes import (
    Classification,
    EvaluationSettings,
    LikelihoodSettings,
    NoisyClassification,
    SamplerSettings,
    ScoreExperiment,
    Sliced,
    quickstart,
)
from sde_jax.score import FlowPrediction, ScaledTime
from sde_jax.sde import VE, VP, DDPMChain, FlowMatching, SubVP
from sde_jax.training import Adam, Training

DDPM_LEVELS = 1000
"""Noise levels of the chain of Ho et al. 2020."""


def digits_vp() -> ScoreExperiment:
    """Handwritten digits (8x8), VP.

    sde-jax train digits_vp

    Two CPU cores, 9 minutes; 1.90 bits per dimension of held-out digits.
    """
    return ScoreExperiment(
        data=Digits(),
        sde=VP(),
        network=small_network(),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(steps=5000, batch_size=128),
        likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-4),
        evaluation=EvaluationSettings(
            count=2000,
            features=("classifier", "coordinates"),
            classifier="digits_classifier",
            sampling=SamplerSettings(sampler="unipc", steps=20),
        ),
    )


def digits_subvp() -> ScoreExperiment:
    """Handwritten digits (8x8), sub-VP.

    sde-jax train digits_subvp

    Two CPU cores, 7 minutes; 1.84 bits per dimension of held-out digits.
    """
    return replace(digits_vp(), sde=SubVP())


def digits_ve() -> ScoreExperiment:
    """Handwritten digits (8x8), VE.

    sde-jax train digits_ve

    Two CPU cores, 7 minutes; 1.82 bits per dimension of held-out digits.
    """
    return replace(digits_vp(), sde=VE(sigma_min=0.01, sigma_max=10.0), data_deviation=1.0)


def digits_flow_matching() -> ScoreExperiment:
    """Handwritten digits (8x8), flow matching.

    sde-jax train digits_flow_matching

    The network of `digits_vp` predicts the velocity noise - x0, with equal weights at uniform
    times, as published. Logit-normal times would hardly train the times below .01, which the
    likelihood from t = 1e-3 needs. Two CPU cores, about 10 minutes.
    """
    return replace(
        digits_vp(),
        sde=FlowMatching(),
        parameterization=FlowPrediction(),
        weighting=FlowWeighting(),
    )


def digits_ddpm() -> ScoreExperiment:
    """Handwritten digits (8x8), DDPM: a chain of 1000 discrete noise levels.

    sde-jax train digits_ddpm

    A small `mnist_ddpm`, whose docstring explains the recipe. A side of 8 pixels can be halved
    three times, and this U-Net has two levels. Two CPU cores, about 2 minutes; the held-out loss is
    .09.
    """
    return ScoreExperiment(
        data=Digits(),
        sde=VP(),
        network=PooledUNetSpec(widths=(32, 64)),
        time_condition=ScaledTime(scale=DDPM_LEVELS - 1.0),
        noise_levels=DDPMChain(levels=DDPM_LEVELS),
        times=DiscreteTimes(levels=DDPM_LEVELS),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(steps=1500, batch_size=128, eval_every=500),
        sampling=SamplerSettings(sampler="ancestral", steps=DDPM_LEVELS),
        likelihood=digits_vp().likelihood,
        evaluation=digits_vp().evaluation,
    )


def digits_labels() -> ScoreExperiment:
    """Handwritten digits (8x8) with labels, VP: one network, with and without a label.

    sde-jax train digits_labels

    A tenth of the training examples are shown without their label (Ho and Salimans 2022,
    arXiv:2207.12598), so the network is the score of all digits and of each class:
    `sde-jax edit RUN --task class`. Two very busy CPU cores, 32 minutes; without a label, 1.90 bits
    per dimension of held-out digits; `digits_classifier` assigns all of 80 samples of a class to
    that class.
    """
    return replace(digits_vp(), network=small_network(classes=10))


def digits_sliced() -> ScoreExperiment:
    """Handwritten digits (8x8), VP, by sliced score matching.

    sde-jax train digits_sliced

    Sliced score matching does not know the noise of a noised digit: it uses products of the
    network's Jacobian with random directions. It has the same minimum as denoising. Its gradients
    are noisier and need one more derivative. Compare with `quickstart`, which has the same network
    and process. Two CPU cores, about 3 minutes; 2.24 bits per dimension of held-out digits.
    """
    experiment = quickstart()
    return replace(
        experiment,
        matching=Sliced(),
        training=replace(experiment.training, steps=600),
        evaluation=digits_vp().evaluation,
    )


def digits_classifier() -> Classification:
    """Handwritten digits (8x8), classifier: the features and predictions of metrics.

    sde-jax train digits_classifier

    Two busy CPU cores, .6 minutes; 94.9 +- 1.3 % accuracy on the test split, most of which is by
    other writers than the training split.
    """
    return Classification(
        data=Digits(),
        network=ClassifierSpec(channels=32, multipliers=(2,), dropout=0.2),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=50, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=600, batch_size=128, eval_every=100, log_every=50),
    )


def digits_noisy_classifier() -> NoisyClassification:
    """Handwritten digits (8x8), VP: a classifier at every noise level, for guidance.

    sde-jax train digits_noisy_classifier

    It minimizes E[-log p(label | x_t, t)] over data, t and noise, where x_t = alpha x_0 + sigma
    noise (Song et al. 2021, arXiv:2011.13456, appendix I). How much noise does a digit survive?
    The results contain the accuracy on held-out digits by sigma / alpha, which starts near the
    94.9 % of `digits_classifier`.

    Two busy CPU cores, .8 minutes. Accuracy on the test split at sigma / alpha of .01: 95.6 +-
    1.2 %, .1 and .3: 94.6 +- 1.3 %, 1: 71.4 +- 2.6 %, 3: 29.3 +- 2.6 %, 10: 15.2 +- 2.1 %; chance
    is 10 %. The held-out loss is 1.446 nats, mostly from times at which VP has destroyed the digit.
    """
    return NoisyClassification(
        data=Digits(),
        sde=VP(),
        network=digits_classifier().network,
        optimizer=digits_classifier().optimizer,
        ema_decay=0.99,
        training=Training(steps=1500, batch_size=128, eval_every=500, log_every=50),
    )


def small_network(dropout: float = 0.1, classes: int | None = None) -> NCSNppSpec:
    """Returns a network for images of 8x8 pixels."""
    return NCSNppSpec(
        channels=24,
        multipliers=(1, 2),
        blocks_per_level=1,
        attention_resolutions=(4,),
        dropout=dropout,
        classes=classes,
    )
