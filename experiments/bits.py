"""Models for the fewest bits per dimension: of grey levels without dequantization, or with learned
noise."""

from dataclasses import replace

from experiments.digits import digits_vp, small_network
from experiments.mnist import narrow_network
from experiments.mnist_narrow import mnist_vp_narrow
from sde_jax.baselines import DequantizingFlowSpec
from sde_jax.data import Digits, TfdsImages
from sde_jax.objectives import LikelihoodTimes, LikelihoodWeighting
from sde_jax.recipes import Dequantization, LikelihoodSettings, ScoreExperiment
from sde_jax.training import Adam, Training


def digits_bits() -> ScoreExperiment:
    """Handwritten digits (8x8), VP, for the fewest bits: grey levels without dequantization.

    sde-jax train digits_bits

    The loss is the bound of the likelihood (Song et al. 2021b, arXiv:2101.09258), at importance
    times, and the network sees waves of the distance of one and of two grey levels. `sde-jax
    likelihood` measures by the truncated protocol.
    """
    usual = digits_vp()
    return replace(
        usual,
        data=Digits(dequantize=False),
        network=replace(small_network(), input_frequencies=(2, 3)),
        times=LikelihoodTimes(t_min=1e-3),
        weighting=LikelihoodWeighting(),
        likelihood=LikelihoodSettings(protocol="truncated", samples=20, tolerance=1e-4),
    )


def digits_dequantizer() -> Dequantization:
    """Handwritten digits (8x8), a dequantizer of `digits_vp`: learned noise in the bins of levels.

    sde-jax train digits_dequantizer

    A conditional flow draws noise where the density of the score model is high, which tightens its
    bound on the probability of grey levels: `sde-jax likelihood runs/digits_vp --protocol
    variational --dequantizer runs/digits_dequantizer`. The score model stays as it is; `--score
    RUN` names another one.
    """
    return Dequantization(
        data=Digits(),
        score="digits_vp",
        network=DequantizingFlowSpec(width=32, depth=1, couplings=4),
        optimizer=Adam(learning_rate=1e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        training=Training(steps=1000, batch_size=128, eval_every=100, keep_best=True),
    )


def mnist_bits_narrow() -> ScoreExperiment:
    """MNIST (28x28 padded to 32x32), VP, narrow, for the fewest bits: grey levels alone.

    sde-jax train mnist_bits_narrow

    `mnist_vp_narrow` with the loss and the waves of `digits_bits`, for 256 grey levels. Not yet run
    to the end.
    """
    return replace(
        mnist_vp_narrow(),
        data=TfdsImages(name="mnist", image_size=32, fit="pad", channels=1, dequantize=False),
        network=replace(narrow_network(dropout=0.0), input_frequencies=(6, 7)),
        times=LikelihoodTimes(t_min=1e-5),
        weighting=LikelihoodWeighting(),
        likelihood=LikelihoodSettings(protocol="truncated", samples=20, tolerance=1e-4),
    )
