"""MNIST (28x28 padded to 32x32), narrow: each model in about a quarter of an hour of two cores."""

from dataclasses import replace

from experiments.digits import digits_flow_matching
from experiments.digits_others import (
    digits_conditional,
    digits_denoiser_prior,
    digits_flow,
    digits_gan,
    digits_latent,
    digits_vae,
)
from experiments.mnist import (
    mnist_conditional,
    mnist_ddpm,
    mnist_subvp,
    mnist_ve,
    mnist_vp,
    narrow_network,
)
from sde_jax.baselines import AutoencoderSpec, CouplingFlowSpec, DCGANSpec
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes import (
    MEASURABLE,
    AdversarialNetworks,
    Conditional,
    DenoiserPrior,
    EvaluationSettings,
    LatentScoreModel,
    LikelihoodSettings,
    NormalizingFlow,
    SamplerSettings,
    ScoreExperiment,
    Sliced,
    VariationalAutoencoder,
)
from sde_jax.training import Adam, Training


def mnist_vp_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VP, narrow: .15 GFLOP an image, a quarter of an hour.

    python -m experiments mnist_vp_narrow

    The model that the other narrow models of MNIST are compared with. How far does a score model
    get in that time, reversing `dx = -beta x dt / 2 + sqrt(beta) dw` with a score learned by
    denoising (Song et al. 2021, eqs. 6, 7 and 11)? Look at the samples of the evaluation: strokes
    are right long before whole digits are. Two busy CPU cores, 20 minutes; a Fréchet distance of
    16.6 +- .7 in the classifier's features.
    """
    return replace(
        mnist_vp(),
        network=narrow_network(dropout=0.0),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(
            steps=2800, batch_size=64, eval_every=700, eval_examples=2048, checkpoint_every=350
        ),
        likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-4),
        evaluation=EvaluationSettings(
            count=2000,
            likelihood_count=256,
            features=("classifier",),
            classifier="mnist_classifier",
            sampling=SamplerSettings(sampler="sde-dpm++2m", steps=50),
        ),
    )


def mnist_subvp_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), sub-VP, narrow.

    sde-jax train mnist_subvp_narrow

    The network of `mnist_vp_narrow` in a quarter of its steps, about 5 minutes of two CPU cores.
    benchmarks/README.md shows whether few evaluations suffice along this process.
    """
    return _in_a_quarter(replace(mnist_vp_narrow(), sde=mnist_subvp().sde))


def mnist_ve_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VE, narrow.

    sde-jax train mnist_ve_narrow

    The network of `mnist_vp_narrow` in a quarter of its steps, about 5 minutes of two CPU cores.
    benchmarks/README.md shows whether few evaluations suffice along this process.
    """
    whole = mnist_ve()
    return _in_a_quarter(
        replace(mnist_vp_narrow(), sde=whole.sde, data_deviation=whole.data_deviation)
    )


def mnist_flow_matching_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), flow matching, narrow.

    sde-jax train mnist_flow_matching_narrow

    The network of `mnist_vp_narrow` in a quarter of its steps, about 5 minutes of two CPU cores.
    `digits_flow_matching` explains the objective.
    """
    flow = digits_flow_matching()
    return _in_a_quarter(
        replace(
            mnist_vp_narrow(),
            sde=flow.sde,
            parameterization=flow.parameterization,
            weighting=flow.weighting,
        )
    )


def _in_a_quarter(experiment: ScoreExperiment) -> ScoreExperiment:
    """Returns the experiment with a quarter of the steps of `mnist_vp_narrow`."""
    return replace(experiment, training=replace(experiment.training, steps=700))


def mnist_ddpm_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), DDPM: the published network in a quarter of an hour.

    sde-jax train mnist_ddpm_narrow

    `mnist_ddpm` in 2500 steps of 64 images, less than three epochs instead of 82, with a decaying
    learning rate. A forward pass of an image is .13 GFLOP. Two CPU cores, 13 minutes; a Fréchet
    distance of 33 +- .7 in the classifier's features.
    """
    narrow = mnist_vp_narrow()
    return replace(
        mnist_ddpm(),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=200, decay="cosine"),
        ema_decay=0.995,
        training=Training(
            steps=2500, batch_size=64, eval_every=500, eval_examples=2000, checkpoint_every=500
        ),
        likelihood=narrow.likelihood,
        evaluation=replace(narrow.evaluation, likelihood_count=64),
    )


def mnist_sliced() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VP, narrow, by sliced score matching.

    sde-jax train mnist_sliced

    Sliced score matching does not know the noise of a noised image: it uses products of the
    network's Jacobian with random directions (Song et al. 2019, arXiv:1905.07088). A step takes 2.4
    times as long as one of `mnist_vp_narrow`, which has the same network and process: 1,000 steps
    instead of 2,800 take about as many minutes of two CPU cores, and reach a Fréchet distance of
    65 +- 1 instead of 17 in the classifier's features. `mnist_matching` compares the two.
    """
    narrow = mnist_vp_narrow()
    return replace(narrow, matching=Sliced(), training=replace(narrow.training, steps=1000))


def mnist_labels() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32) with labels, VP, narrow: one network, with and without a label.

    sde-jax train mnist_labels

    A tenth of the training examples are shown without their label (Ho and Salimans 2022,
    arXiv:2207.12598), so the network is the score of all digits and of each class:
    `sde-jax edit RUN --task class`. Two very busy CPU cores, 27 minutes; `mnist_classifier` assigns
    98 +- 2 % of 60 samples of a class to that class.
    """
    narrow = mnist_vp_narrow()
    return replace(
        narrow,
        network=narrow_network(classes=10),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=200, decay="cosine"),
        training=Training(steps=1300, batch_size=64, eval_every=650),
    )


def mnist_vae_narrow() -> VariationalAutoencoder:
    """MNIST (28x28 padded to 32x32), narrow: a variational autoencoder.

    sde-jax train mnist_vae_narrow

    A quarter of an hour of two CPU cores, 26 minutes of busy ones; a Fréchet distance of
    81 +- 1.4 in the classifier's features, at most 5.73 +- .03 bits per dimension. `digits_vae`
    says what to look at.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_vae(),
        data=narrow.data,
        network=AutoencoderSpec(latent=32, channels=16, multipliers=(1, 2, 4), vector=True),
        training=Training(steps=3500, batch_size=128, eval_every=500, keep_best=True),
        evaluation=replace(narrow.evaluation, sampling=None),
    )


def mnist_gan_narrow() -> AdversarialNetworks:
    """MNIST (28x28 padded to 32x32), narrow: a generative adversarial network (DCGAN).

    sde-jax train mnist_gan_narrow

    Two CPU cores, busy at first, 9 minutes; a Fréchet distance of 18.7 +- .6 in the classifier's
    features. `digits_gan` says what to look at.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_gan(),
        data=narrow.data,
        network=DCGANSpec(channels=16, multipliers=(1, 2, 4)),
        latent_dimension=64,
        training=Training(steps=6000, batch_size=64, eval_every=1000),
        evaluation=replace(narrow.evaluation, sampling=None, metrics=MEASURABLE),
    )


def mnist_flow_narrow() -> NormalizingFlow:
    """MNIST (28x28 padded to 32x32), narrow: a normalizing flow (RealNVP).

    sde-jax train mnist_flow_narrow

    A quarter of an hour of two CPU cores, 34 minutes of busy ones; a Fréchet distance of
    98.8 +- 1.6 in the classifier's features, 1.434 +- .016 bits per dimension. `digits_flow` says
    what to look at.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_flow(),
        data=narrow.data,
        network=CouplingFlowSpec(width=16, depth=1, couplings=4, scales=3),
        training=Training(steps=2000, batch_size=64, eval_every=500, keep_best=True),
        evaluation=replace(narrow.evaluation, sampling=None),
    )


def mnist_latent_narrow() -> LatentScoreModel:
    """MNIST (28x28 padded to 32x32), narrow: VP on the latents of an autoencoder.

    sde-jax train mnist_latent_narrow

    A quarter of an hour of two CPU cores, 17 minutes of busy ones; a Fréchet distance of
    61 +- 1.1 in the classifier's features, at most 6.54 bits per dimension. `digits_latent` says
    what to look at.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_latent(),
        data=narrow.data,
        autoencoder=AutoencoderSpec(latent=4, channels=16, multipliers=(1, 2)),
        network=NCSNppSpec(
            channels=32, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,)
        ),
        training=Training(steps=1400, batch_size=128, eval_every=350),
        evaluation=replace(narrow.evaluation, sampling=SamplerSettings(sampler="unipc", steps=20)),
    )


def mnist_conditional_narrow() -> Conditional:
    """The lower half of MNIST digits (28x28 padded to 32x32), given the upper one, VP, narrow.

    sde-jax train mnist_conditional_narrow

    A quarter of an hour of two CPU cores, 27 minutes of busy ones; the error of the regression is
    .114, that of a draw, after so few steps, .240. `digits_conditional` says what to look at.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_conditional(),
        data=narrow.data,
        network=mnist_conditional().network,
        training=Training(steps=500, batch_size=64, eval_every=250),
        evaluation=replace(narrow.evaluation, metrics=MEASURABLE),
    )


def mnist_denoiser_prior() -> DenoiserPrior:
    """MNIST (28x28 padded to 32x32), sampled with denoisers that were trained only to denoise.

    python -m experiments mnist_denoiser_prior

    Narrow. Is a denoiser a prior? Its residual f(y) - y is level^2 times the score of noised
    images, so it is a prior once the noise has the right scale. `digits_denoiser_prior` says what
    to look at. The denoiser that is given the level, with Tweedie's formula, is the score model of
    the same training. Most samples of the blind one do not become a digit after so few steps of
    training. A quarter of an hour of two CPU cores.
    """
    narrow = mnist_vp_narrow()
    return replace(
        digits_denoiser_prior(),
        data=narrow.data,
        network=narrow.network,
        level_max=30.0,
        optimizer=narrow.optimizer,
        training=Training(
            steps=1200, batch_size=64, eval_every=400, eval_examples=2048, checkpoint_every=300
        ),
        evaluation=narrow.evaluation,
    )
