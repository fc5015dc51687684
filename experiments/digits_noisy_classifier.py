"""Handwritten digits (8x8), VP: their classifier at every noise level, which guides samplers.

python -m experiments train digits_noisy_classifier

It minimizes E[-log p(label | x_t, t)] over data, t and noise, x_t = alpha x_0 + sigma noise (Song
et al. 2021, arXiv:2011.13456, appendix I). How much noise does a digit survive? Its report has the
accuracy on held-out digits by sigma / alpha: what to look at is that it starts where that of
`digits_classifier` is, and ends at the .1 of a guess. Not run to its end yet.
"""

from experiments.accuracy import report_by_noise as report
from experiments.digits_vp import experiment as digits_vp
from experiments.kinds.noisy_classification import NoisyClassification
from sde_jax.nets.classifier import ClassifierSpec
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

__all__ = ["experiment", "report"]

experiment = NoisyClassification(
    data=digits_vp.data,
    sde=digits_vp.sde,
    network=ClassifierSpec(channels=32, multipliers=(2,), dropout=0.2),
    optimizer=Adam(learning_rate=3e-3, warmup_steps=50, decay="cosine"),
    ema_decay=0.99,
    training=Training(steps=1500, batch_size=128, eval_every=500, log_every=50),
)
