"""MNIST (28x28 padded to 32x32), a normalizing flow (RealNVP).

sde-jax train mnist_flow

A hundred epochs, of which the parameters of the lowest held-out loss are kept. What to look at is
in `digits_flow`. Not run to its end yet: needs a GPU.
"""

import dataclasses

from experiments.digits_flow import experiment as digits_flow
from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.baselines.coupling_flow import CouplingFlowSpec
from sde_jax.training.optimizer import Adam

experiment = dataclasses.replace(
    digits_flow,
    data=mnist_vp.data,
    network=CouplingFlowSpec(width=32, depth=1, couplings=4, scales=3),
    optimizer=Adam(learning_rate=1e-3, warmup_steps=1000, decay="cosine"),
    ema_decay=0.999,
    training=dataclasses.replace(mnist_vp.training, steps=46_900, keep_best=True),
    evaluation=mnist_vp.evaluation,
)
