"""Studies: questions to trained runs, or to none, answered with numbers and pictures."""

from experiments.mnist import mnist_vp
from experiments.studies.comparison import Comparison
from experiments.studies.forward import Forward
from experiments.studies.nearest import NearestImages
from experiments.studies.protocols import Protocols
from experiments.studies.samplers import Samplers
from experiments.studies.side_by_side import SideBySide
from experiments.studies.study import Study
from sde_jax.data import Digits
from sde_jax.recipes import SamplerName, SamplerSettings

STEPS: dict[SamplerName, tuple[int, ...]] = {
    "em": (50, 100, 250, 1000),
    "ancestral": (20, 50, 100, 250),
    "pc": (50, 250),
    "ddim": (10, 20, 50),
    "dpm++2m": (5, 10, 20),
    "dpm++3m": (10, 20),
    "unipc": (5, 10, 20, 50),
    "sde-dpm++2m": (10, 20, 50, 100),
}
TOLERANCES: dict[SamplerName, tuple[float, ...]] = {
    "ode": (1e-2, 1e-3, 1e-5),
    "shark": (0.05,),
    "sra1": (0.05,),
    "gotta-go-fast": (0.05,),
}


def forward() -> Study:
    """How does noise destroy an image, a density and its score, and do the SDEs differ?

    python -m experiments forward

    A forward process is a linear SDE, from data at t = 0 to noise at t = 1::

        dx = a(t) x dt + g(t) dw            xt = alpha(t) x0 + sigma(t) noise

    The second equation solves the first (Song et al. 2021, eq. 29): ``a`` shrinks the signal to
    alpha, ``g`` accumulates noise of deviation sigma, and one draw of a unit Gaussian reaches any
    t. A path of the SDE receives new noise at each step; at any one t both have the same
    distribution.

    What to look at:

    - Times of equal sigma / alpha show the same image up to scale, whatever the SDE. That ratio is
      the true clock of a process; an SDE chooses how fast it runs, and the scale of x.
    - VP, sub-VP and Ornstein-Uhlenbeck spend much of [0, 1] on what looks like pure noise. The
      cosine schedule reaches sigma = alpha half-way, Ornstein-Uhlenbeck at t = .07: constant
      coefficients destroy detail at once. Sub-VP has VP's alpha with less noise, so that x varies
      less at first.
    - Flow matching moves every pixel along a straight line. It reaches sigma = alpha half-way and
      nearly all of its high noise levels at the very end.
    - VE never shrinks x. Its noise must drown the data instead: sigma grows from .01 to 50,
      linearly in its logarithm, and the plane is shown ever wider. Look at the colour of the
      arrows: near the end the score is about -x / (alpha^2 + sigma^2), whose length stays about 1
      under the others and falls as 1 / sigma under VE. A network that learns it needs its output
      divided by sigma.
    - At t = 0 the arrows are long, and far from the data they say little about where most of it is.
      Noise merges the modes, from the smallest distances up, until one field of arrows leads
      everywhere to the centre. Sampling follows the arrows back: first the coarse, then the fine.

    The density is a mixture of four Gaussians, whose noised density and score are exact.

    Two CPU cores, 40 seconds.
    """
    return Forward(data=mnist_vp().data)


def digits_forward() -> Study:
    """How does noise destroy an image, a density and its score? On digits without a download.

    python -m experiments digits_forward

    Each SDE carries an 8x8 digit and a mixture of Gaussians from data at t = 0 to noise at t = 1::

        dx = a(t) x dt + g(t) dw            xt = alpha(t) x0 + sigma(t) noise

    Compare panels of equal sigma / alpha: they show the same image up to scale. See which SDE
    reaches a ratio early and which late, and how the score becomes smooth as the modes merge.
    `forward` explains more, on MNIST.

    Two CPU cores, 30 seconds.
    """
    return Forward(data=Digits())


def samplers() -> Study:
    """MNIST: which sampler is best, for how many evaluations of the network?

    python -m experiments samplers

    One score s(x, t), and many ways to follow the reversed process

        dx = (a x - g^2 s) dt + g dw    or its flow    dx/dt = a x - g^2 s / 2.

    Look at `figure.png`: quality against evaluations, and against seconds. Solvers of high order in
    the log signal-to-noise ratio need tens of evaluations where Euler-Maruyama needs hundreds.
    Those that add noise need more steps, and end better where the network errs, because noise hides
    its errors.
    """
    return Samplers(
        run="mnist_vp_narrow",
        classifier="mnist_classifier",
        settings=_sampler_settings(),
        evaluations=6000,
        least=128,
        most=512,
    )


def digits_samplers() -> Study:
    """Handwritten digits (8x8): which sampler is best, for how many evaluations of the network?

    python -m experiments digits_samplers

    `samplers` says what to look at.
    """
    return Samplers(
        run="digits_vp",
        classifier="digits_classifier",
        settings=_sampler_settings(),
        evaluations=8_000,
        least=128,
        most=1500,
    )


def _sampler_settings() -> tuple[SamplerSettings, ...]:
    """Returns every sampler at several costs."""
    return (
        *(SamplerSettings(sampler=n, steps=k) for n, steps in STEPS.items() for k in steps),
        *(SamplerSettings(sampler="dpm++2m", steps=k, grid="uniform") for k in (5, 10, 20)),
        *(SamplerSettings(sampler="heun", steps=k, grid="karras") for k in (5, 10, 18)),
        *(SamplerSettings(sampler=n, tolerance=k) for n, some in TOLERANCES.items() for k in some),
    )


def flowers_samplers() -> Study:
    """Flowers (64x64), grey and colour: predictor-corrector, Euler-Maruyama, probability flow.

    python -m experiments flowers_samplers

    The question that this project goes back to: which of

        Euler-Maruyama           x <- x - (a x - g^2 s) dt + g sqrt(dt) noise, 2000 steps
        predictor-corrector      the same with a Langevin step after each, 2000 steps, snr 0.15
        probability flow         dx/dt = a x - g^2 s / 2, adaptively

    draws the best flowers? The original found the flow best, by eye. Kernel distances are in
    pixels. Needs a GPU. Not yet run.
    """
    return SideBySide(runs=(("grey", "flowers_vp"), ("colour", "flowers_colour")), count=36)


def flowers_narrow_samplers() -> Study:
    """Flowers (32x32), narrow, grey and colour: predictor-corrector, Euler-Maruyama, the flow.

    python -m experiments flowers_narrow_samplers

    `flowers_samplers` says what to look at. A network with so little training errs; noise corrects
    part of the error along the way, and the flow keeps it.
    """
    return SideBySide(
        runs=(("grey", "flowers_narrow"), ("colour", "flowers_colour_narrow")), count=36
    )


def digits_comparison() -> Study:
    """Handwritten digits (8x8): the score model beside the models that it replaced.

    python -m experiments digits_comparison

    `mnist_comparison` says what to look at.
    """
    return _comparison("digits")


def mnist_comparison() -> Study:
    """MNIST: the score model and the models that it replaced, in one table and one figure.

    python -m experiments mnist_comparison

    All are narrow, and trained for about a quarter of an hour of two CPU cores. A classifier
    measures its confidence in samples (the mean over x of max_k logit_k(x)) and the distribution of
    their labels (total variation sum_k |p_k - q_k| / 2). The Fréchet distance, precision and recall
    compare its features with those of training images. Published, for 100 images of a model with a
    classifier of 98.91 %: real 18.95, VAE 11.18, GAN 11.02, DDPM 12.74. A large logit alone is no
    praise: a model that draws one perfect digit has it as well. Look at `images.png` for the best
    image of each label, and at `numbers.png` for the values of real images.
    """
    return _comparison("mnist", size="_narrow")


def mnist_full_comparison() -> Study:
    """MNIST: the score model and the models that it replaced, at their full sizes.

    python -m experiments mnist_full_comparison

    Every model trains for about a hundred epochs, as published. `mnist_comparison` compares the
    narrow ones and says what to look at. Needs a GPU. Not yet run.
    """
    return _comparison("mnist")


def _comparison(data: str, size: str = "") -> Comparison:
    """Returns the comparison of the models of a data set, of one size."""
    return Comparison(
        classifier=f"{data}_classifier",
        runs=(
            ("score model (VP)", f"{data}_vp{size}"),
            ("DDPM", f"{data}_ddpm{size}"),
            ("VAE", f"{data}_vae{size}"),
            ("GAN", f"{data}_gan{size}"),
            ("RealNVP", f"{data}_flow{size}"),
            ("latent diffusion", f"{data}_latent{size}"),
            ("lower halves, given upper", f"{data}_conditional{size}"),
        ),
    )


def digits_protocols() -> Study:
    """Handwritten digits (8x8): how many bits does each protocol find on the same checkpoint?

    python -m experiments digits_protocols

    The density of dequantized data and all bounds are upper bounds of the bits that the best code
    of the grey levels needs under the model, so that the least is nearest. `digits_bits` was
    trained on the grey levels themselves, `digits_vp` on dequantized data, which rules out the
    truncated protocol. `digits_dequantizer` was learned for `digits_vp`.
    """
    return Protocols(
        runs=(("digits_vp", "digits_vp"), ("digits_bits", "digits_bits")),
        dequantizers=(("digits_vp", "digits_dequantizer"),),
        t_min=1e-3,
    )


def digits_nearest() -> Study:
    """Handwritten digits (8x8): are samples copies of training images?

    python -m experiments digits_nearest

    `mnist_nearest` says what to look at. Most held-out digits are by other writers than the
    training digits, and so they are farther from these than samples of the same distribution would
    be.
    """
    return NearestImages(run="digits_vp", classifier="digits_classifier")


def mnist_nearest() -> Study:
    """MNIST: are samples copies of training images?

    python -m experiments mnist_nearest

    A model that has learned the distribution is as far from its training images as other images of
    it are; one that copies is nearer. With d(x) the distance of x to the nearest training image,
    compare the median of d over samples and over held-out images, and P(d(sample) < d(held-out)),
    which is 1/2 where nothing is copied. Look at `neighbours.png`: samples beside their nearest
    training images, in pixels and in a classifier's features. Strokes should differ; those of a
    copy would be the same.
    """
    return NearestImages(run="mnist_vp_narrow", classifier="mnist_classifier")
