"""MNIST (28x28 padded to 32x32) at full size, as published, on a GPU."""

from dataclasses import replace

from experiments.digits import DDPM_LEVELS, digits_ddpm, digits_noisy_classifier
from experiments.digits_others import (
    digits_conditional,
    digits_flow,
    digits_gan,
    digits_latent,
    digits_vae,
)
from sde_jax.baselines import AutoencoderSpec, CouplingFlowSpec, DCGANSpec
from sde_jax.data import TfdsImages
from sde_jax.nets import ClassifierSpec, NCSNppSpec, PooledUNetSpec
from sde_jax.recipes import (
    MEASURABLE,
    AdversarialNetworks,
    Classification,
    Conditional,
    EvaluationSettings,
    LatentScoreModel,
    LikelihoodSettings,
    NoisyClassification,
    NormalizingFlow,
    SamplerSettings,
    ScoreExperiment,
    VariationalAutoencoder,
)
from sde_jax.sde import VE, VP, SubVP
from sde_jax.training import Adam, Training

EPOCHS_100 = 46_900
"""Steps of a hundred epochs, in batches of 128."""


def mnist_vp() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VP.

    sde-jax train mnist_vp

    Needs a GPU: two CPU cores take seconds for each of the 50,000 steps. Not yet run to the end.
    """
    return ScoreExperiment(
        data=TfdsImages(name="mnist", image_size=32, fit="pad", channels=1),
        sde=VP(),
        network=NCSNppSpec(channels=32, multipliers=(1, 2, 2), blocks_per_level=2),
        optimizer=Adam(learning_rate=5e-4, warmup_steps=1000, decay="cosine"),
        ema_decay=0.9995,
        training=Training(
            steps=50_000, batch_size=128, eval_every=5000, sample_every=1000, checkpoint_every=5000
        ),
        evaluation=EvaluationSettings(
            count=10_000, features=("classifier",), classifier="mnist_classifier"
        ),
    )


def mnist_subvp() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), sub-VP.

    sde-jax train mnist_subvp

    Needs a GPU: two CPU cores take seconds for each of the 50,000 steps. Not yet run to the end.
    """
    return replace(mnist_vp(), sde=SubVP())


def mnist_ve() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VE.

    sde-jax train mnist_ve

    Needs a GPU: two CPU cores take seconds for each of the 50,000 steps. Not yet run to the end.
    """
    return replace(mnist_vp(), sde=VE(sigma_min=0.01, sigma_max=50.0), data_deviation=1.0)


def mnist_ddpm() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), DDPM: a chain of 1000 discrete noise levels.

    sde-jax train mnist_ddpm

    The original recipe, with a plain U-Net that pools: Ho et al. 2020 (arXiv:2006.11239). With b_t
    linear from 1e-4 at t = 0 to .02 at t = 999 and a_t = (1 - b_0) ... (1 - b_t), the network sees
    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise (eq. 4) and the index t, and predicts the noise, with
    equal weights for all indices (eq. 14). Sampling steps from each index to the one below,

        x = (x - b_t / sqrt(1 - a_t) network(x, t)) / sqrt(1 - b_t) + deviation * noise   (eq. 11),

    where b_t / sqrt(1 - a_t) is also the weight that eq. 12 gives an index and eq. 14 omits. Seed,
    levels, batches of 128, the constant learning rate and 82 epochs (38,438 whole batches) are as
    published. The widths of the U-Net are not: they are chosen to give as many parameters. Neither
    is the average of the parameters; `--ema-decay 0` uses the last ones.

    The sampler `ancestral` steps as eq. 11 does, with the variance of the posterior, but along the
    VP process that the chain discretizes: 1000 uniform times, each within one index of the chain's,
    and one more evaluation to denoise the last state. Needs a GPU. Not yet run to the end.
    """
    sampling = SamplerSettings(sampler="ancestral", steps=DDPM_LEVELS)
    return replace(
        digits_ddpm(),
        data=mnist_vp().data,
        network=PooledUNetSpec(),
        optimizer=Adam(learning_rate=1e-4, clip_norm=None),
        ema_decay=0.999,
        training=replace(mnist_vp().training, steps=38_438),
        likelihood=LikelihoodSettings(),
        evaluation=replace(mnist_vp().evaluation, sampling=sampling),
    )


def mnist_classifier() -> Classification:
    """MNIST (28x28 padded to 32x32), classifier: the features and predictions of metrics.

    sde-jax train mnist_classifier

    Two busy CPU cores, 14 minutes; 99.28 +- .08 % accuracy on the test split. 1000 steps of 128
    images are little more than two epochs.
    """
    return Classification(
        data=mnist_vp().data,
        network=ClassifierSpec(channels=16, multipliers=(1, 2, 4)),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=1000, batch_size=128, eval_every=250, log_every=50),
    )


def mnist_noisy_classifier() -> NoisyClassification:
    """MNIST (28x28 padded to 32x32), VP: a classifier at every noise level, for guidance.

    sde-jax train mnist_noisy_classifier

    As `digits_noisy_classifier`. Small enough for a CPU: .006 GFLOP an image, three times that with
    the gradient. Not yet run to the end.
    """
    return replace(
        digits_noisy_classifier(), data=mnist_vp().data, network=mnist_classifier().network
    )


def mnist_vae() -> VariationalAutoencoder:
    """MNIST (28x28 padded to 32x32), a variational autoencoder.

    sde-jax train mnist_vae

    A hundred epochs, as published; `mnist_vae_narrow` trains half as wide a network for seven.
    `digits_vae` says what to look at. Needs a GPU. Not yet run to the end.
    """
    return replace(
        digits_vae(),
        data=mnist_vp().data,
        network=AutoencoderSpec(latent=32, channels=32, multipliers=(1, 2, 4), vector=True),
        optimizer=Adam(learning_rate=1e-3, warmup_steps=1000, decay="cosine", clip_norm=None),
        ema_decay=0.999,
        training=replace(mnist_vp().training, steps=EPOCHS_100, keep_best=True),
        evaluation=mnist_vp().evaluation,
    )


def mnist_gan() -> AdversarialNetworks:
    """MNIST (28x28 padded to 32x32), a generative adversarial network (DCGAN).

    sde-jax train mnist_gan

    A hundred epochs, as published, of networks four times as wide as those of `mnist_gan_narrow`.
    `digits_gan` says what to look at. Needs a GPU. Not yet run to the end.
    """
    return replace(
        digits_gan(),
        data=mnist_vp().data,
        network=DCGANSpec(channels=64, multipliers=(1, 2, 4)),
        latent_dimension=64,
        ema_decay=0.999,
        training=replace(mnist_vp().training, steps=EPOCHS_100),
        evaluation=replace(mnist_vp().evaluation, metrics=MEASURABLE),
    )


def mnist_flow() -> NormalizingFlow:
    """MNIST (28x28 padded to 32x32), a normalizing flow (RealNVP).

    sde-jax train mnist_flow

    A hundred epochs, of which the run keeps the parameters of the lowest held-out loss.
    `digits_flow` says what to look at. Needs a GPU. Not yet run to the end.
    """
    return replace(
        digits_flow(),
        data=mnist_vp().data,
        network=CouplingFlowSpec(width=32, depth=1, couplings=4, scales=3),
        optimizer=Adam(learning_rate=1e-3, warmup_steps=1000, decay="cosine"),
        ema_decay=0.999,
        training=replace(mnist_vp().training, steps=EPOCHS_100, keep_best=True),
        evaluation=mnist_vp().evaluation,
    )


def mnist_latent() -> LatentScoreModel:
    """MNIST (28x28 padded to 32x32), latent diffusion: VP on the latents of an autoencoder.

    sde-jax train mnist_latent

    A hundred epochs of networks twice as wide as those of `mnist_latent_narrow`. `digits_latent`
    says what to look at. Needs a GPU. Not yet run to the end.
    """
    return replace(
        digits_latent(),
        data=mnist_vp().data,
        autoencoder=AutoencoderSpec(latent=4, channels=32, multipliers=(1, 2)),
        network=NCSNppSpec(
            channels=64, multipliers=(1, 2), blocks_per_level=2, attention_resolutions=(4,)
        ),
        optimizer=mnist_vp().optimizer,
        ema_decay=mnist_vp().ema_decay,
        training=replace(mnist_vp().training, steps=EPOCHS_100),
        evaluation=mnist_vp().evaluation,
    )


def mnist_conditional() -> Conditional:
    """The lower half of MNIST digits (28x28 padded to 32x32), given the upper one, VP.

    sde-jax train mnist_conditional

    A hundred epochs, as published; `mnist_conditional_narrow` trains for half of one.
    `digits_conditional` says what to look at. Needs a GPU. Not yet run to the end.
    """
    return replace(
        digits_conditional(),
        data=mnist_vp().data,
        network=narrow_network(),
        optimizer=mnist_vp().optimizer,
        ema_decay=mnist_vp().ema_decay,
        training=replace(mnist_vp().training, steps=EPOCHS_100),
        evaluation=replace(mnist_vp().evaluation, metrics=MEASURABLE),
    )


def narrow_network(dropout: float = 0.1, classes: int | None = None) -> NCSNppSpec:
    """Returns a network of .15 GFLOP an image, for CPU cores."""
    return NCSNppSpec(
        channels=16,
        multipliers=(1, 2, 2),
        blocks_per_level=1,
        attention_resolutions=(8,),
        dropout=dropout,
        classes=classes,
    )
