"""Handwritten digits (8x8): the models that score models replaced or were combined with."""

from dataclasses import replace

from experiments.digits import digits_vp, small_network
from sde_jax.baselines import (
    AdversarialLoss,
    AutoencoderSpec,
    CouplingFlowSpec,
    DCGANSpec,
)
from sde_jax.data import Digits
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes import (
    MEASURABLE,
    AdversarialNetworks,
    Conditional,
    DenoiserPrior,
    LatentScoreModel,
    NormalizingFlow,
    SamplerSettings,
    Student,
    VariationalAutoencoder,
)
from sde_jax.sde import VP
from sde_jax.training import Adam, Training


def digits_vae() -> VariationalAutoencoder:
    """Handwritten digits (8x8), a variational autoencoder.

    sde-jax train digits_vae

    A short latent describes a digit, and the decoder draws the mean of all digits with that latent:
    compare the soft samples with those of `digits_vp`. Bits per dimension are a bound by 64
    importance samples of the latent: 3.41, since all pixels share one deviation. Two CPU cores, 2
    minutes.
    """
    return VariationalAutoencoder(
        data=Digits(),
        network=AutoencoderSpec(latent=16, channels=32, multipliers=(1, 2), vector=True),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine", clip_norm=None),
        ema_decay=0.99,
        training=Training(steps=1200, batch_size=128, eval_every=100, keep_best=True),
        evaluation=replace(digits_vp().evaluation, sampling=None),
    )


def digits_gan() -> AdversarialNetworks:
    """Handwritten digits (8x8), a generative adversarial network.

    sde-jax train digits_gan

    A generator learns from a discriminator that distinguishes real digits from generated ones. It
    has no likelihood. Its losses do not fall as the digits improve: look at the samples, and at
    recall and the distribution of labels in the evaluation, which show what the generator never
    draws. Two busy CPU cores, 2 minutes; a Fréchet distance of 13.7 +- 2.2 in the classifier's
    features.
    """
    optimizer = Adam(learning_rate=2e-4, b1=0.5, clip_norm=None)
    return AdversarialNetworks(
        data=Digits(),
        network=DCGANSpec(channels=32, multipliers=(1, 2)),
        latent_dimension=32,
        loss=AdversarialLoss(loss="non_saturating", r1=1.0),
        optimizer=optimizer,
        discriminator_optimizer=optimizer,
        ema_decay=0.995,
        training=Training(steps=3000, batch_size=64, eval_every=1000),
        evaluation=replace(digits_vp().evaluation, sampling=None, metrics=MEASURABLE),
    )


def digits_flow() -> NormalizingFlow:
    """Handwritten digits (8x8), a normalizing flow (RealNVP).

    sde-jax train digits_flow

    An invertible map from noise to digits has an exact likelihood in one evaluation. It overfits
    the training digits after a while: the run keeps the parameters of the lowest held-out loss,
    which are the ones that are sampled and measured. Look at `pictures/training.png`. Two CPU
    cores, under 3 minutes; 2.04 bits per dimension of held-out digits, at step 400.
    """
    return NormalizingFlow(
        data=Digits(),
        network=CouplingFlowSpec(width=32, depth=1, couplings=4, scales=2),
        optimizer=Adam(learning_rate=1e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=1000, batch_size=128, eval_every=100, keep_best=True),
        evaluation=replace(digits_vp().evaluation, sampling=None),
    )


def digits_latent() -> LatentScoreModel:
    """Handwritten digits (8x8), latent diffusion: VP on the latents of an autoencoder.

    sde-jax train digits_latent

    An autoencoder maps digits to 4x4 latents, a score model learns the distribution of the latents,
    and samples are decoded. Both are trained at once, each by its own loss. Bits per dimension are
    a bound whose prior is the probability flow of the latents: 3.32. Two CPU cores, 1.5 minutes.
    """
    return LatentScoreModel(
        data=Digits(),
        autoencoder=AutoencoderSpec(latent=4, channels=32, multipliers=(1,)),
        sde=VP(),
        network=NCSNppSpec(
            channels=32, multipliers=(1,), blocks_per_level=2, attention_resolutions=(4,)
        ),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine", clip_norm=None),
        ema_decay=0.99,
        training=Training(steps=2000, batch_size=128, eval_every=500),
        sampling=SamplerSettings(sampler="unipc", steps=20),
        likelihood=replace(digits_vp().likelihood, method="bosh3"),
        evaluation=digits_vp().evaluation,
    )


def digits_conditional() -> Conditional:
    """The lower half of handwritten digits (8x8), given the upper one, VP.

    sde-jax train digits_conditional

    Many lower halves fit an upper one. A network that regresses on the lower half learns their
    mean, a blur that nobody wrote. A score model conditioned on the upper half draws one of them,
    a different one each time. `python -m experiments digits_conditional` draws both into
    `pictures/answers.png` of the run. `--task.lost detail` restores digits from means over 4x4
    pixels, `--data.coloured --task.lost colour` colours grey digits. Two CPU cores, 3 minutes; the
    error of the regression is .154, that of a draw .191.
    """
    return Conditional(
        data=Digits(),
        sde=VP(),
        network=small_network(),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=800, batch_size=128, eval_every=400),
        sampling=SamplerSettings(sampler="unipc", steps=20),
        evaluation=replace(digits_vp().evaluation, metrics=MEASURABLE),
    )


def digits_student() -> Student:
    """Handwritten digits (8x8) in one evaluation or a few: a student of `digits_vp`, VP.

    sde-jax train digits_student --teacher runs/digits_vp

    The student starts from the weights of its teacher and learns the map of the teacher's
    probability flow, from noise to digits, by consistency in continuous time. `sde-jax sample RUN
    --steps 1`, 2 or 4 draws digits in that many evaluations. `--teacher None` learns from the
    digits alone. A step takes 1.7 times the operations of one of `digits_vp`: it has a derivative
    by time in forward mode, and an evaluation of the teacher. Two busy CPU cores, 16 minutes;
    Fréchet distance 3.9 +- .5 in two evaluations, the teacher's is 2.8 +- .7 in 21.
    """
    return Student(
        data=Digits(),
        teacher="digits_vp",
        sde=VP(),
        network=small_network(dropout=0.0),
        data_deviation=0.75,
        consistency_warmup=500,
        optimizer=Adam(learning_rate=1e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(steps=2500, batch_size=128),
        evaluation=replace(
            digits_vp().evaluation,
            metrics=MEASURABLE,
            sampling=SamplerSettings(sampler="consistency", steps=2),
        ),
    )


def digits_denoiser_prior() -> DenoiserPrior:
    """Handwritten digits (8x8), sampled with denoisers that were trained only to denoise.

    sde-jax train digits_denoiser_prior

    A denoiser f knows the score of noised data: (f(y) - y) / level^2. Adding the residual
    repeatedly, without the scale of the noise, leads to a mean of all digits. Using the residual
    as the score leads to noise. The same denoiser draws digits once the noise has the scale that
    its own residual shows: `python -m experiments digits_denoiser_prior` draws all three into
    `pictures/residuals.png` of the run. Two busy CPU cores, 3 minutes; 2.45 bits per dimension
    under the denoiser that is given the noise level.
    """
    return DenoiserPrior(
        data=Digits(),
        network=small_network(dropout=0.0),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=800, batch_size=128, eval_every=400),
        sampling=SamplerSettings(sampler="unipc", steps=20),
        likelihood=digits_vp().likelihood,
        evaluation=digits_vp().evaluation,
    )
