"""Handwritten digits (8x8), VP: their classifier at every noise level, which guides samplers.

sde-jax train digits_noisy_classifier

It minimizes E[-log p(label | x_t, t)] over data, t and noise, x_t = alpha x_0 + sigma noise (Song
et al. 2021, arXiv:2011.13456, appendix I). How much noise does a digit survive? The report has the
accuracy on held-out digits by sigma / alpha; it starts near the 94.9 % of `digits_classifier`.

Two CPU cores that did other work, too, .8 minutes; of the test split are classified right, at
sigma / alpha of .01: 95.6 +- 1.2 %, .1 and .3: 94.6 +- 1.3 %, 1: 71.4 +- 2.6 %, 3: 29.3 +- 2.6 %,
10: 15.2 +- 2.1 %, where a guess has 10 %. The held-out loss, 1.446 nats, is mostly of times at
which VP has left no digit.
"""

from experiments.digits_vp import experiment as digits_vp
from sde_jax.nets import ClassifierSpec
from sde_jax.recipes.noisy_classification import NoisyClassification
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = NoisyClassification(
    data=digits_vp.data,
    sde=digits_vp.sde,
    network=ClassifierSpec(channels=32, multipliers=(2,), dropout=0.2),
    optimizer=Adam(learning_rate=3e-3, warmup_steps=50, decay="cosine"),
    ema_decay=0.99,
    training=Training(steps=1500, batch_size=128, eval_every=500, log_every=50),
)
