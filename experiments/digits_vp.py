"""Handwritten digits (8x8), VP.

sde-jax train digits_vp

Two CPU cores, 9 minutes; 1.90 bits per dimension of held-out digits.
"""

from sde_jax.data import Digits
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import LikelihoodSettings, ScoreExperiment
from sde_jax.sde import VP
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

network = NCSNppSpec(
    channels=24, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,)
)

experiment = ScoreExperiment(
    data=Digits(),
    sde=VP(),
    network=network,
    optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
    ema_decay=0.995,
    training=Training(steps=5000, batch_size=128),
    likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-4),
    evaluation=EvaluationSettings(
        count=2000,
        features=("classifier", "coordinates"),
        classifier="digits_classifier",
        sampling=SamplerSettings(sampler="unipc", steps=20),
    ),
)
