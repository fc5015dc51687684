"""MNIST (28x28 padded to 32x32), VP.

sde-jax train mnist_vp

Meant for a GPU: two CPU cores take seconds for each of the 50,000 steps. Not run to its end yet.
"""

from sde_jax.data import TfdsImages
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.sde import VP
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = ScoreExperiment(
    data=TfdsImages(name="mnist", image_size=32, fit="pad", channels=1),
    sde=VP(),
    network=NCSNppSpec(channels=32, multipliers=(1, 2, 2), blocks_per_level=2),
    optimizer=Adam(learning_rate=5e-4, warmup_steps=1000, decay="cosine"),
    ema_decay=0.9995,
    training=Training(
        steps=50_000, batch_size=128, eval_every=5000, sample_every=1000, checkpoint_every=5000
    ),
    evaluation=EvaluationSettings(
        count=10_000, features=("classifier",), classifier="mnist_classifier"
    ),
)
