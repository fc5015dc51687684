"""Accuracy of trained classifiers on the test split."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from sde_jax.arrays import Array, Examples, Keys, PyTree, expand_like
from sde_jax.atomic import write_json
from sde_jax.data import TEST
from sde_jax.evaluation.examples import read_examples
from sde_jax.evaluation.features import features_of, of_classifier
from sde_jax.json_files import read_json
from sde_jax.metrics import mean_estimate
from sde_jax.randomness import unit_noise
from sde_jax.recipes import Classification, NoisyClassification
from sde_jax.reporting import report
from sde_jax.runs.generation import example_keys, whole_batches
from sde_jax.runs.trained_run import TrainedRun, open_run_of, stored_experiment
from sde_jax.sde import LinearSDE, Time
from sde_jax.training import (
    RunDirectory,
    compiled_on_each_device,
    data_mesh,
    first_error,
    is_first,
    saved_steps,
    shard_batch,
)

BATCH_SIZE = 500

RECORD = "accuracy.json"
"""Name of the file in a run."""

NOISE_LEVELS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Deviations of the noise per unit of signal at which a classifier of noisy data is measured."""


def held_out_accuracy(path: Path) -> dict[str, Any]:
    """Returns the accuracy of the classifier of a run on the whole test split.

    It is measured once and kept in the run until training continues. Every process must call this
    function. Returns nothing for the run of another model.
    """
    directory = RunDirectory.open(path)
    experiment = stored_experiment(directory).experiment
    step, record = max(saved_steps(directory.checkpoints), default=None), path / RECORD
    known = recorded(record, step)
    if first_error(None if known else "it is not measured") is None and known is not None:
        return known
    if isinstance(experiment, Classification):
        found = accuracy(open_run_of(Classification, path))
    elif isinstance(experiment, NoisyClassification):
        found = accuracy_by_noise(open_run_of(NoisyClassification, path))
    else:
        return {}
    try:
        if is_first():
            write_json(record, {"step": step, "found": found})
    except OSError as error:
        report(f"{record} cannot be written: {error.strerror}")
    return found


def recorded(path: Path, step: int | None) -> dict[str, Any] | None:
    """Returns what was found at a step, or None if nothing was."""
    try:
        record = read_json(path)
        return record["found"] if record["step"] == step else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def accuracy(run: TrainedRun[Classification]) -> dict[str, Any]:
    """Returns the accuracy of the averaged parameters on images without noise."""
    parts = list(read_examples(run.source, TEST))
    images, labels = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    logits = np.asarray(features_of(of_classifier(run), images).logits)
    return share_of(logits.argmax(axis=1) == labels)


def accuracy_by_noise(run: TrainedRun[NoisyClassification]) -> dict[str, Any]:
    """Returns the accuracy of the averaged parameters on images noised to each level.

    Each example has the same noise at every level. Levels that the process does not reach for t in
    [0, 1] are left out.
    """
    model, mesh = run.experiment.model(), data_mesh()
    size = whole_batches(BATCH_SIZE, run.source.sizes[TEST], mesh)
    key_data, key_noise = jax.random.split(jax.random.key(0))

    def predictions(shared: tuple[PyTree, Time], keys: Keys, x0: Examples) -> Array:
        params, t = shared
        noise = unit_noise(keys, x0.shape[1:])
        alpha, sigma = (expand_like(f(t), x0) for f in (model.sde.alpha, model.sde.sigma))
        return model.log_probabilities(params, alpha * x0 + sigma * noise, t).argmax(axis=1)

    compiled = compiled_on_each_device(predictions)
    right: dict[float, list[np.ndarray]] = {level: [] for level in reached(model.sde)}
    first, total = 0, run.source.sizes[TEST]
    shown = {"unit": " examples", "desc": "accuracy", "disable": not is_first()}
    with tqdm(total=total, **shown) as progress:
        for batch in run.source.batches(key_data, TEST, size):
            x0, keys = shard_batch(batch.x, mesh, size), example_keys(key_noise, first, size)
            for level, parts in right.items():
                shared = run.params, model.sde.time_of(jnp.asarray(level))
                predicted = np.asarray(compiled(shared, keys, x0))[: len(batch.x)]
                parts.append(predicted == np.asarray(batch.label))
            first += len(batch.x)
            progress.update(len(batch.x))
    found = {str(level): share_of(np.concatenate(parts)) for level, parts in right.items()}
    return {"accuracy_by_noise": found}


def reached(sde: LinearSDE) -> list[float]:
    """Returns the noise levels that the process has between t = 0 and 1, up to rounding."""
    low, high = sde.noise_to_signal(jnp.asarray([0.0, 1.0])).tolist()
    return [level for level in NOISE_LEVELS if 0.999 * low <= level <= 1.001 * high]


def share_of(right: np.ndarray) -> dict[str, Any]:
    """Returns the share of examples that are classified right, with its standard error."""
    share = mean_estimate(right)
    return {"accuracy": share.value, "stderr": share.stderr, "count": len(right)}
