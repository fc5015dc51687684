"""Experiments whose networks are one convolution, so that their runs take seconds.

Commands take them as ``FILE:NAME``; `tiny` writes that down.
"""

from dataclasses import asdict, dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.baselines.autoencoder import AutoencoderSpec, Posterior
from sde_jax.baselines.coupling_flow import CouplingFlowSpec
from sde_jax.baselines.dcgan import DCGANSpec
from sde_jax.baselines.dequantizing_flow import DequantizingFlowSpec
from sde_jax.data import Digits, Folder
from sde_jax.nets import ClassifierSpec, NetworkSpec, UNetSpec
from sde_jax.recipes import (
    AdversarialNetworks,
    Classification,
    Conditional,
    DenoiserPrior,
    Dequantization,
    EvaluationSettings,
    LatentScoreModel,
    LikelihoodSettings,
    NoisyClassification,
    NormalizingFlow,
    SamplerSettings,
    ScoreExperiment,
    Student,
    VariationalAutoencoder,
)
from sde_jax.runs.catalogue import find
from sde_jax.sde import VP
from sde_jax.training import Adam, RunDirectory, Training
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.start import Progress


def tiny(name):
    """The argument of a command for the experiment ``name`` of this file."""
    return f"{__file__}:{name}"


def untrained(name, folder):
    """Writes a run of the experiment ``name`` of this file: see `write_run`."""
    return write_run(find(tiny(name)), folder)


def write_run(named, folder, step=0, notes=None):
    """Writes a run with random parameters; the averaged ones are others."""
    directory = RunDirectory.create(folder, named.config())
    learner = named.experiment.learner(named.experiment.data.layout().shape)

    shapes = jax.eval_shape(learner.init, jax.random.key(0))
    params = random_params(shapes.params)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    state = state._replace(
        step=np.int32(step),
        params=params,
        ema_params=jax.tree.map(lambda x: np.float32(0.9) * x, params),
    )
    with Checkpoints(directory.checkpoints) as checkpoints:
        checkpoints.save(step, state, {**asdict(Progress(step=step)), **(notes or {})})
    return folder


def random_params(shapes):
    """Parameters like those at the start of training, without a program that draws them."""
    random = np.random.default_rng(0)

    def drawn(path, leaf):
        match path[-1].key:
            case "scale":
                return np.ones(leaf.shape, leaf.dtype)
            case "bias":
                return np.zeros(leaf.shape, leaf.dtype)
        return random.normal(0, 0.05, leaf.shape).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(drawn, shapes)


@dataclass(frozen=True, kw_only=True)
class OneConvolutionSpec(NetworkSpec):
    """Hyperparameters of `OneConvolution`."""

    classes: int | None = None

    def build(self):
        return OneConvolution(self)


class OneConvolution(nn.Module):
    """``conv(x) + dense(arcsinh(time)) + embedding(label)``, with an image beside x."""

    spec: OneConvolutionSpec
    dtype: object = jnp.float32
    precision: object = None

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        channels = x.shape[-1]
        options = {"dtype": self.dtype, "kernel_init": nn.initializers.normal(0.05)}
        shift = nn.Dense(channels, **options)(jnp.arcsinh(time)[:, None])
        if self.spec.classes is not None:
            label = jnp.full(len(x), -1) if condition is None else condition.label
            shift += nn.Embed(self.spec.classes + 1, channels, dtype=self.dtype)(label + 1)
        if condition is not None and condition.image is not None:
            x = jnp.concatenate([x, condition.image], axis=-1)
        output = nn.Conv(channels, (3, 3), precision=self.precision, **options)(x)
        return (output + shift[:, None, None]).astype(jnp.float32)


def digits():
    """A score model of 8x8 digits."""
    return ScoreExperiment(
        data=Digits(),
        sde=VP(),
        network=OneConvolutionSpec(),
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(
            steps=4, batch_size=16, eval_every=2, eval_examples=16, checkpoint_every=2, log_every=2
        ),
        sampling=SamplerSettings(steps=4, tolerance=0.1),
        likelihood=LikelihoodSettings(t_min=0.01, tolerance=0.1),
        evaluation=EvaluationSettings(
            count=64,
            likelihood_count=8,
            features=("coordinates",),
            sampling=SamplerSettings(sampler="unipc", steps=2, grid="log-snr"),
        ),
    )


def folder():
    """One of pictures in a folder."""
    return replace(digits(), data=Folder())


def labeled():
    """A class-conditional one."""
    return replace(digits(), network=OneConvolutionSpec(classes=10))


def colored():
    """A class-conditional one of coloured digits."""
    return replace(labeled(), data=Digits(coloured=True))


def classifier():
    """A classifier of digits."""
    return Classification(
        data=Digits(),
        network=ClassifierSpec(channels=4, multipliers=(1,), features=6),
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(steps=2, batch_size=16, eval_examples=16),
    )


def noisy_classifier():
    """A classifier of noisy digits, in colour."""
    return replace(grey_noisy_classifier(), data=Digits(coloured=True))


def grey_noisy_classifier():
    """A classifier of noisy digits."""
    return NoisyClassification(
        data=Digits(),
        sde=VP(),
        network=classifier().network,
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(steps=2, batch_size=16, eval_examples=16),
    )


@dataclass(frozen=True, kw_only=True)
class OneConvolutionAutoencoderSpec(AutoencoderSpec):
    """Hyperparameters of one convolution from images to latents, and of one back."""

    def encoder(self):
        return OneConvolutionEncoder(self.latent)

    def decoder(self, shape):
        return nn.ConvTranspose(shape[-1], (2, 2), strides=(2, 2))


class OneConvolutionEncoder(nn.Module):
    """Latents of half the height and width."""

    latent: int

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.normal(0.05)
        h = nn.Conv(2 * self.latent, (2, 2), strides=(2, 2), kernel_init=init)(x)
        return Posterior(*jnp.split(h, 2, axis=-1))


@dataclass(frozen=True, kw_only=True)
class OneConvolutionUNetSpec(UNetSpec):
    """Hyperparameters of `OneConvolution` where a U-Net is asked for."""

    def build(self):
        return OneConvolution(self)


def trained_alike(kind, **fields):
    """A model of another kind, trained and evaluated as `digits`."""
    alike = ("data", "optimizer", "ema_decay", "training", "evaluation")
    return kind(**({name: getattr(digits(), name) for name in alike} | fields))


def vae():
    """A variational autoencoder."""
    return trained_alike(
        VariationalAutoencoder,
        network=OneConvolutionAutoencoderSpec(latent=2),
        evaluation=replace(digits().evaluation, sampling=None),
    )


def gan():
    """A generator and a discriminator."""
    return trained_alike(
        AdversarialNetworks,
        network=DCGANSpec(channels=4, multipliers=(1,)),
        discriminator_optimizer=digits().optimizer,
        evaluation=vae().evaluation,
    )


def flow():
    """A normalizing flow, whose best checkpoint is kept."""
    return trained_alike(
        NormalizingFlow,
        network=CouplingFlowSpec(width=4, depth=1, couplings=2, scales=1),
        training=replace(digits().training, keep_best=True),
        evaluation=vae().evaluation,
    )


def dequantizer():
    """A dequantizer of the run named `run` beside its own."""
    return Dequantization(
        data=Digits(),
        score="run",
        network=DequantizingFlowSpec(width=4, couplings=2),
        optimizer=digits().optimizer,
        ema_decay=0.9,
        training=replace(digits().training, steps=2, keep_best=True),
    )


def latent():
    """An autoencoder and a score model of its latents."""
    return trained_alike(
        LatentScoreModel,
        autoencoder=vae().network,
        sde=VP(),
        network=OneConvolutionUNetSpec(multipliers=(1,), attention_resolutions=()),
        sampling=SamplerSettings(sampler="unipc", steps=3, grid="log-snr"),
        likelihood=digits().likelihood,
    )


def conditional():
    """A model of the lower half of digits given the upper one."""
    return trained_alike(
        Conditional,
        sde=VP(),
        network=OneConvolutionUNetSpec(attention_resolutions=()),
        sampling=latent().sampling,
    )


def denoiser_prior():
    """Two denoisers."""
    return trained_alike(
        DenoiserPrior,
        network=OneConvolutionSpec(),
        sampling=latent().sampling,
        likelihood=digits().likelihood,
    )


def student():
    """A student of a score model `digits` in a folder of its name beside it."""
    return trained_alike(
        Student,
        teacher="digits",
        sde=VP(),
        network=OneConvolutionSpec(),
        consistency_warmup=2,
        evaluation=replace(digits().evaluation, sampling=SamplerSettings(sampler="consistency")),
    )


def untaught():
    """A student of the data alone."""
    return replace(student(), teacher=None)
