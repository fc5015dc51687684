"""The experiments that `fit` trains, chosen by the shape and the number of the examples."""

import dataclasses
import math
from typing import Literal, cast

from sde_jax.data import DataSpec
from sde_jax.nets import MLPSpec, NCSNppSpec, NetworkSpec
from sde_jax.recipes import (
    EvaluationSettings,
    LikelihoodSettings,
    SamplerSettings,
    ScoreExperiment,
    numbers,
)
from sde_jax.score import NoisePrediction
from sde_jax.sde import VP
from sde_jax.training import Adam, Training, data_mesh

LEAST_STEPS, FEW_STEPS = 50, 500
U_NET_STEPS = 3000
AXES = (1, 2, 3)
LEAST_SIDE, SMALL_SIDE = 8, 16
MOST_COORDINATES = 1024
"""Dimensions up to which an evaluation compares images by their pixels."""
MANY = 10_000
"""Number of examples from which a network for vectors is wide."""
MOST_EXACT = 32
"""Dimensions up to which the trace in a likelihood is exact."""
LEAST_VECTOR_STEPS, MOST_VECTOR_STEPS, EPOCHS = 2000, 10_000, 150
"""Updates of a network for vectors: so many epochs, within these limits."""


def of_images(data: DataSpec, shape: tuple[int, ...], train_count: int) -> ScoreExperiment:
    """Returns an experiment that suits images of this shape."""
    sampling = SamplerSettings(sampler="unipc", steps=20)
    by_pixels = math.prod(shape) <= MOST_COORDINATES
    experiment = ScoreExperiment(
        data=data,
        sde=VP(),
        network=network_for(shape, train_count),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(batch_size=batch_size(128, train_count), eval_examples=512),
        sampling=sampling,
        likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-4),
        evaluation=EvaluationSettings(
            count=2000,
            likelihood_count=512,
            features=("coordinates",) if by_pixels else ("inception",),
            sampling=sampling,
        ),
    )
    return with_steps(experiment, U_NET_STEPS)


def of_numbers(data: DataSpec, shape: tuple[int, ...], train_count: int) -> ScoreExperiment:
    """Returns an experiment that suits numbers of this shape.

    The checkpoint of the least held-out loss is kept, since few examples are soon overfitted.

    Raises:
      ValueError: if no network takes the shape.
    """
    usual, exact = numbers(), math.prod(shape) <= MOST_EXACT
    experiment = dataclasses.replace(
        usual,
        data=data,
        network=network_for(shape, train_count),
        parameterization=usual.parameterization if len(shape) == 1 else NoisePrediction(),
        training=dataclasses.replace(usual.training, batch_size=batch_size(256, train_count)),
        likelihood=dataclasses.replace(usual.likelihood, trace="exact" if exact else "hutchinson"),
    )
    return with_steps(experiment, default_steps(experiment, shape, train_count))


def network_for(shape: tuple[int, ...], train_count: int) -> NetworkSpec:
    """Returns the network for examples of this shape: vectors, series, images or volumes.

    Raises:
      ValueError: if there is none.
    """
    if len(shape) == 1:
        return MLPSpec(width=128 if train_count < MANY else 256)
    *sizes, _ = shape
    longest = max(sizes, default=0)
    if len(sizes) not in AXES or longest < LEAST_SIDE:
        raise ValueError(
            "`data` must be vectors [count, dimensions], or series, images or volumes [count, "
            f"*sizes, channels] with one to three sizes, the longest at least {LEAST_SIDE}: the "
            f"shape of an example is {list(shape)}. Channels come last."
        )
    multipliers = (1, 2) if longest <= SMALL_SIDE else (1, 2, 2)
    # The network pads every size to a multiple of this.
    least = 2 ** (len(multipliers) - 1)
    return NCSNppSpec(
        axes=cast(Literal[1, 2, 3], len(sizes)),
        channels=24 if longest <= SMALL_SIDE else 32,
        multipliers=multipliers,
        blocks_per_level=1,
        attention_resolutions=(math.ceil(longest / least),),
        dropout=0.0,
    )


def batch_size(most: int, train_count: int) -> int:
    """Returns a batch of at most so many examples, a multiple of the devices."""
    devices = data_mesh().size
    return max(min(most, train_count) // devices, 1) * devices


def default_steps(experiment: ScoreExperiment, shape: tuple[int, ...], train_count: int) -> int:
    """Returns the number of updates that suits so many examples."""
    if len(shape) > 1:
        return U_NET_STEPS
    epochs = EPOCHS * train_count // experiment.training.batch_size
    return min(max(epochs, LEAST_VECTOR_STEPS), MOST_VECTOR_STEPS)


def with_steps(experiment: ScoreExperiment, steps: int) -> ScoreExperiment:
    """Returns the experiment with so many updates, and with what goes by their number."""
    training, every = experiment.training, max(steps // 20, 1)
    return dataclasses.replace(
        experiment,
        optimizer=dataclasses.replace(
            experiment.optimizer, warmup_steps=min(experiment.optimizer.warmup_steps, steps // 10)
        ),
        training=dataclasses.replace(
            training,
            steps=steps,
            eval_every=every if training.keep_best else 2 * every,
            log_every=min(every, 50),
            checkpoint_every=2 * every,
        ),
    )
