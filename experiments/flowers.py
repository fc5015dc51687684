"""Flowers of Oxford 102, the experiment that this project goes back to."""

from dataclasses import replace

from experiments.cifar10 import cifar10_vp
from experiments.mnist_narrow import mnist_vp_narrow
from sde_jax.data import TfdsImages
from sde_jax.recipes import EvaluationSettings, SamplerSettings, ScoreExperiment
from sde_jax.training import Adam, Training

SPLITS = ("train", "validation", "test")


def flowers_vp() -> ScoreExperiment:
    """Flowers of Oxford 102 (64x64) in grey, VP.

    sde-jax train flowers_vp

    The experiment that this project goes back to: all three splits but a held-out tenth, batches of
    32, a learning rate of 1e-4, 200 epochs. `flowers_colour` is the same in colour, and
    `flowers_samplers` samples both with three samplers. The original found the probability flow
    best and colour better than grey. It states neither size nor process: both are chosen here.
    Needs a GPU: two CPU cores take seconds for each of the 46,000 steps. Not yet run to the end.
    """
    sampling = SamplerSettings(sampler="em", steps=2000, snr=0.15)
    return replace(
        cifar10_vp(),
        data=flowers(image_size=64, grey=True),
        optimizer=Adam(learning_rate=1e-4, warmup_steps=1000),
        training=Training(
            steps=46_000, batch_size=32, eval_every=5000, sample_every=1000, checkpoint_every=5000
        ),
        sampling=sampling,
        evaluation=EvaluationSettings(count=5000, sampling=sampling),
    )


def flowers_colour() -> ScoreExperiment:
    """Flowers of Oxford 102 (64x64) in colour, VP.

    sde-jax train flowers_colour

    `flowers_vp` in colour. Needs a GPU. Not yet run to the end.
    """
    return replace(flowers_vp(), data=flowers(image_size=64, grey=False))


def flowers_narrow() -> ScoreExperiment:
    """Flowers of Oxford 102 (32x32) in grey, VP, narrow.

    python -m experiments flowers_narrow

    `flowers_vp` with the network of `mnist_vp_narrow`. Two CPU cores, a quarter of an hour. Too
    small to compare processes or samplers of flowers by it.
    """
    narrow = mnist_vp_narrow()
    return replace(
        flowers_vp(),
        data=flowers(image_size=32, grey=True),
        network=narrow.network,
        optimizer=narrow.optimizer,
        ema_decay=narrow.ema_decay,
        training=replace(narrow.training, eval_examples=512),
        likelihood=narrow.likelihood,
        evaluation=EvaluationSettings(
            count=256,
            likelihood_count=64,
            metrics=("kernel", "likelihood"),
            features=("coordinates",),
            sampling=SamplerSettings(sampler="sde-dpm++2m", steps=50),
        ),
    )


def flowers_colour_narrow() -> ScoreExperiment:
    """Flowers of Oxford 102 (32x32) in colour, VP, narrow.

    python -m experiments flowers_colour_narrow

    `flowers_narrow` in colour. Two CPU cores, a quarter of an hour.
    """
    return replace(flowers_narrow(), data=flowers(image_size=32, grey=False))


def flowers(image_size: int, grey: bool) -> TfdsImages:
    """Returns the images of all three splits, a tenth of which are held out."""
    return TfdsImages(
        name="oxford_flowers102",
        image_size=image_size,
        fit="crop",
        channels=3,
        grey=grey,
        flip=True,
        train_split="+".join(f"{split}[:90%]" for split in SPLITS),
        test_split="+".join(f"{split}[90%:]" for split in SPLITS),
    )
