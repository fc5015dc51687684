"""Distances of samples to the training data, beside those of held-out data."""

import numpy as np

from sde_jax.data import TEST, TRAIN
from sde_jax.evaluation.examples import read_examples
from sde_jax.evaluation.feature_metrics import Compared
from sde_jax.evaluation.features import FeatureNetwork, coordinates, extract_batches, features_of
from sde_jax.evaluation.findings import of_closeness
from sde_jax.evaluation.pictures import draw_neighbours
from sde_jax.evaluation.task import Drawn, Task
from sde_jax.interop import KEPT
from sde_jax.metrics import detect_memorization
from sde_jax.recipes.evaluation_settings import LEAST

NEIGHBOURS = 5


def closeness_networks(task: Task, found: list[FeatureNetwork]) -> list[FeatureNetwork]:
    """Returns the networks of the distances: those found and always the coordinates.

    Returns none if memorization is not among the metrics, or there are too few held-out data.
    """
    held_out = task.run.source.sizes.get(TEST, 0)
    if "memorization" not in task.settings.metrics or held_out < LEAST:
        return []
    if any(network.name == "coordinates" for network in found):
        return found
    return [*found, coordinates(task.run.layout.shape)]


def find_closeness(task: Task, network: FeatureNetwork, drawn: Drawn) -> Compared:
    """Compares samples and held-out data, the first 10,000 of each, with all training data."""

    def of_split(split: str, count: int | None) -> np.ndarray:
        parts = read_examples(task.run.source, split, count=count, batch_size=task.batch_size)
        batches = extract_batches(network, (part.data for part in parts), task.batch_size)
        return np.concatenate([np.asarray(batch.features) for batch in batches])

    samples = features_of(network, drawn.data[:KEPT], task.batch_size)
    result = detect_memorization(
        samples.features, of_split(TEST, KEPT), of_split(TRAIN, None), neighbours=NEIGHBOURS
    )
    found = Compared([*of_closeness(network.name, result.closeness)], [])
    if drawn.data.ndim == 4:
        found.pictures.append(draw_neighbours(task, network.name, drawn, result.samples))
    return found
