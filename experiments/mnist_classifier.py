"""MNIST (28x28 padded to 32x32), its classifier: the features and predictions of metrics.

sde-jax train mnist_classifier

Two CPU cores that did other work, too, 14 minutes; 99.28 +- .08 % of the test split are classified
right. 1000 steps of 128 images are little more than two epochs.
"""

from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.nets import ClassifierSpec
from sde_jax.recipes.classification import Classification
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = Classification(
    data=mnist_vp.data,
    network=ClassifierSpec(channels=16, multipliers=(1, 2, 4)),
    optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
    ema_decay=0.99,
    training=Training(steps=1000, batch_size=128, eval_every=250, log_every=50),
)
