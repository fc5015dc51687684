"""Experiments that come with the package."""

from sde_jax.data.digits import Digits
from sde_jax.data.number_file import NumberFile
from sde_jax.nets import MLPSpec, NCSNppSpec
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.score import VelocityPrediction
from sde_jax.sde import VP
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


def quickstart() -> ScoreExperiment:
    """Handwritten digits (8x8), VP, in minutes of two CPU cores.

    sde-jax quickstart

    Two CPU cores, 4 minutes, 1.7 GiB; 2.02 bits per dimension of held-out digits.
    """
    return ScoreExperiment(
        data=Digits(),
        sde=VP(),
        network=NCSNppSpec(
            channels=24,
            multipliers=(1, 2),
            blocks_per_level=1,
            attention_resolutions=(4,),
            dropout=0.0,
        ),
        optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(steps=1000, batch_size=128, eval_every=200, log_every=50),
        sampling=SamplerSettings(steps=300, tolerance=1e-3),
        likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-3),
        evaluation=EvaluationSettings(
            count=2000,
            features=("classifier", "coordinates"),
            classifier="digits_classifier",
            sampling=SamplerSettings(sampler="unipc", steps=20),
        ),
    )


def numbers() -> ScoreExperiment:
    """The rows of a file of your own (.npy, .npz, HDF5, CSV, Parquet), VP.

    sde-jax train numbers --data.path FILE

    A row is one example; a tenth of the rows is held out; `sde-jax data show FILE` describes them.
    The 10,000 steps take minutes on two CPU cores. The number to expect depends on the file.
    """
    sampling = SamplerSettings(sampler="unipc", steps=20)
    return ScoreExperiment(
        data=NumberFile(),
        sde=VP(),
        network=MLPSpec(width=256),
        # Zero is the exact output for independent Gaussian columns.
        parameterization=VelocityPrediction(),
        optimizer=Adam(learning_rate=1e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.999,
        training=Training(
            steps=10_000, batch_size=256, eval_every=500, eval_examples=4096, keep_best=True
        ),
        sampling=sampling,
        likelihood=LikelihoodSettings(t_min=1e-4, tolerance=1e-4, trace="exact"),
        evaluation=EvaluationSettings(
            count=2000,
            likelihood_count=2000,
            metrics=("likelihood",),
            features=(),
            sampling=sampling,
        ),
    )
