"""MNIST (28x28 padded to 32x32), DDPM: a chain of 1000 discrete noise levels.

sde-jax train mnist_ddpm

What does the first recipe give, with a plain U-Net that pools? Ho et al. 2020 (arXiv:2006.11239):
with b_t linear from 1e-4 at t = 0 to .02 at t = 999 and a_t = (1 - b_0) ... (1 - b_t), the network
is shown x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise (eq. 4) and the index t, and predicts the noise,
every index alike (eq. 14). A sample takes a step from each index to the one below,

    x = (x - b_t / sqrt(1 - a_t) network(x, t)) / sqrt(1 - b_t) + deviation * noise   (eq. 11),

where b_t / sqrt(1 - a_t) also sets the weight that eq. 12 gives an index and eq. 14 leaves out.
Seed, levels, batches of 128, the constant learning rate and 82 epochs (38,438 batches, none of them
cut short) are as published. The widths of the U-Net are not: they are chosen to have as many
parameters. Nor is an average of the parameters, of which `--ema-decay 0` makes the last ones.

The sampler `ancestral` takes steps of eq. 11 with the variance of the posterior, but along the VP
process that the chain discretizes: 1000 uniform times, each within an index of the chain's, and the
last state is rid of its noise by one evaluation more. Not run to its end yet: needs a GPU.
"""

from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.nets import PooledUNetSpec
from sde_jax.objectives import DiscreteTimes
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.score import ScaledTime
from sde_jax.sde import VP, DDPMChain
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

LEVELS = 1000
SAMPLING = SamplerSettings(sampler="ancestral", steps=LEVELS)

experiment = ScoreExperiment(
    data=mnist_vp.data,
    sde=VP(),
    network=PooledUNetSpec(),
    time_condition=ScaledTime(scale=LEVELS - 1.0),
    noise_levels=DDPMChain(levels=LEVELS),
    times=DiscreteTimes(levels=LEVELS),
    optimizer=Adam(learning_rate=1e-4, clip_norm=None),
    ema_decay=0.999,
    training=Training(
        steps=38_438, batch_size=128, eval_every=5000, sample_every=1000, checkpoint_every=5000
    ),
    sampling=SAMPLING,
    evaluation=EvaluationSettings(
        count=10_000, features=("classifier",), classifier="mnist_classifier", sampling=SAMPLING
    ),
)
