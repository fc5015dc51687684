"""CIFAR-10 and other small colour images, on a GPU."""

from dataclasses import replace

from sde_jax.data import Folder, TfdsImages
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes import ScoreExperiment
from sde_jax.sde import VE, VP, SubVP
from sde_jax.training import Adam, Training


def cifar10_vp() -> ScoreExperiment:
    """CIFAR-10 (32x32), VP.

    sde-jax train cifar10_vp

    Needs a GPU: two CPU cores take seconds for each of the 40,000 steps. Not yet run to the end.
    """
    return ScoreExperiment(
        data=TfdsImages(name="cifar10", image_size=32, channels=3, flip=True),
        sde=VP(),
        network=NCSNppSpec(channels=64, blocks_per_level=2),
        optimizer=Adam(learning_rate=5e-4, warmup_steps=1000, decay="cosine"),
        ema_decay=0.9995,
        training=Training(
            steps=40_000, batch_size=128, eval_every=5000, sample_every=1000, checkpoint_every=5000
        ),
    )


def cifar10_subvp() -> ScoreExperiment:
    """CIFAR-10 (32x32), sub-VP.

    sde-jax train cifar10_subvp

    Needs a GPU: two CPU cores take seconds for each of the 40,000 steps. Not yet run to the end.
    """
    return replace(cifar10_vp(), sde=SubVP())


def cifar10_ve() -> ScoreExperiment:
    """CIFAR-10 (32x32), VE up to the largest distance between two images.

    sde-jax train cifar10_ve

    Needs a GPU: two CPU cores take seconds for each of the 40,000 steps. Not yet run to the end.
    """
    return replace(cifar10_vp(), sde=VE(sigma_min=0.01, sigma_max=100.0), data_deviation=0.5)


def svhn_vp() -> ScoreExperiment:
    """House numbers of SVHN (32x32), VP.

    sde-jax train svhn_vp

    Needs a GPU: two CPU cores take seconds for each of the 40,000 steps. Not yet run to the end.
    """
    return replace(cifar10_vp(), data=TfdsImages(name="svhn_cropped", image_size=32, channels=3))


def folder() -> ScoreExperiment:
    """Your own pictures (64x64), VP.

    sde-jax train folder --data.path PICTURES

    PICTURES is a folder or a zip of pictures, a tenth of which are held out; `sde-jax data show
    PICTURES` describes them. Needs a GPU: two CPU cores take seconds for each of the 40,000 steps.
    The number to expect depends on the pictures.
    """
    experiment = cifar10_vp()
    return replace(
        experiment,
        data=Folder(image_size=64, flip=True),
        training=replace(experiment.training, batch_size=32),
    )
