"""MNIST (28x28 padded to 32x32), VP, narrow: .15 GFLOP an image, a quarter of an hour of two cores.

python -m experiments mnist_vp_narrow

What the other narrow models of MNIST are compared with: how far does a score model come in that
time, by `dx = -beta x dt / 2 + sqrt(beta) dw` reversed, whose score is learned by denoising (Song
et al. 2021, eqs. 6, 7 and 11)? Look at the samples of the evaluation: strokes are right long
before whole digits are. Two CPU cores that did other work, too, 20 minutes; a Fréchet distance of
16.6 +- .7 in the classifier's features.
"""

import dataclasses

from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import LikelihoodSettings
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

network = NCSNppSpec(
    channels=16, multipliers=(1, 2, 2), blocks_per_level=1, attention_resolutions=(8,), dropout=0.0
)

experiment = dataclasses.replace(
    mnist_vp,
    network=network,
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
