"""How many examples a trained classifier knows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key, PyTree, expand_like
from sde_jax.evaluation.features import extractor, of_classifier
from sde_jax.metrics import mean_estimate
from sde_jax.recipes.classification import Classification
from sde_jax.recipes.noisy_classification import NoisyClassification
from sde_jax.runs.generation import example_keys, whole_batches
from sde_jax.runs.trained_run import TrainedRun
from sde_jax.sde import LinearSDE, Time
from sde_jax.training.devices import data_mesh, on_each_device, replicated, shard_batch

BATCH_SIZE = 500

NOISE_LEVELS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Deviations of the noise per unit of signal at which a classifier of noisy data is asked."""


def report(run: TrainedRun[Classification]) -> dict[str, Any]:
    """The accuracy of the averaged parameters on the whole test split, with its standard error."""
    extract, scaling = extractor(of_classifier(run), data_mesh(), BATCH_SIZE), run.source.scaling
    right = np.concatenate(
        [
            np.asarray(extract(scaling.to_unit(batch.x)).logits).argmax(axis=1)
            == np.asarray(batch.label)
            for batch in run.source.batches(jax.random.key(0), "test", BATCH_SIZE)
        ]
    )
    return accuracy(right)


def report_by_noise(run: TrainedRun[NoisyClassification]) -> dict[str, Any]:
    """The accuracy of the averaged parameters on the whole test split, noised to each level.

    Each example has the same noise at every level. Levels that the process does not reach for t in
    [0, 1] are left out.
    """
    model, mesh = run.experiment.model(), data_mesh()
    size = whole_batches(BATCH_SIZE, run.source.sizes["test"], mesh)
    key_data, key_noise = jax.random.split(jax.random.key(0))

    def predictions(
        shared: tuple[PyTree, Time], keys: Key[Array, "batch"], x0: Float[Array, "batch *shape"]
    ) -> Array:
        params, t = shared
        noise = jax.vmap(lambda key: jax.random.normal(key, x0.shape[1:]))(keys)
        alpha, sigma = (expand_like(f(t), x0) for f in (model.sde.alpha, model.sde.sigma))
        return model.log_probabilities(params, alpha * x0 + sigma * noise, t).argmax(axis=1)

    compiled = jax.jit(on_each_device(predictions, mesh), out_shardings=replicated(mesh))
    right: dict[float, list[np.ndarray]] = {level: [] for level in reached(model.sde)}
    first = 0
    for batch in run.source.batches(key_data, "test", size):
        x0, keys = shard_batch(batch.x, mesh, size), example_keys(key_noise, first, size)
        for level, parts in right.items():
            shared = run.params, model.sde.time_of(jnp.asarray(level))
            predicted = np.asarray(compiled(shared, keys, x0))[: len(batch.x)]
            parts.append(predicted == np.asarray(batch.label))
        first += len(batch.x)
    found = {str(level): accuracy(np.concatenate(parts)) for level, parts in right.items()}
    return {"accuracy_by_noise": found}


def reached(sde: LinearSDE) -> list[float]:
    """The noise levels that the process has between t = 0 and 1, but for rounding."""
    low, high = sde.noise_to_signal(jnp.asarray([0.0, 1.0])).tolist()
    return [level for level in NOISE_LEVELS if 0.999 * low <= level <= 1.001 * high]


def accuracy(right: np.ndarray) -> dict[str, Any]:
    """The share of examples that are classified right, with its standard error."""
    share = mean_estimate(right)
    return {"accuracy": share.value, "stderr": share.stderr, "count": len(right)}
