"""How close samples are to the training data, beside held-out data."""

from collections.abc import Iterable

import numpy as np

from sde_jax.evaluation.examples import examples
from sde_jax.evaluation.feature_metrics import Compared, extracted, in_batches
from sde_jax.evaluation.features import FeatureNetwork, coordinates
from sde_jax.evaluation.findings import of_closeness
from sde_jax.evaluation.pictures import draw_neighbours
from sde_jax.evaluation.task import TEST, TRAIN, Drawn, Task
from sde_jax.interop.statistics_file import KEPT
from sde_jax.metrics import detect_memorization
from sde_jax.recipes.evaluation_settings import LEAST

__all__ = ["closeness_networks", "find_closeness"]

NEIGHBOURS = 5


def closeness_networks(task: Task, found: list[FeatureNetwork]) -> list[FeatureNetwork]:
    """The networks under which copies are looked for: those found and, always, the coordinates.

    None where that is not asked for, or there are too few held-out data to compare with.
    """
    held_out = task.run.source.sizes.get(TEST, 0)
    if "memorization" not in task.settings.metrics or held_out < LEAST:
        return []
    if any(network.name == "coordinates" for network in found):
        return found
    return [*found, coordinates(task.run.layout.shape)]


def find_closeness(task: Task, network: FeatureNetwork, drawn: Drawn) -> Compared:
    """Compares samples and held-out data, the first 10,000 of each, with all training data."""

    def features(batches: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.asarray(x.features) for x in extracted(task, network, batches)])

    def of_split(split: str, count: int | None) -> np.ndarray:
        parts = examples(task.run.source, split, count=count, batch_size=task.batch_size)
        return features(part.data for part in parts)

    samples = features(in_batches(task, drawn.data[:KEPT]))
    result = detect_memorization(
        samples, of_split(TEST, KEPT), of_split(TRAIN, None), neighbours=NEIGHBOURS
    )
    found = Compared([*of_closeness(network.name, result.closeness)], [])
    if drawn.data.ndim == 4:
        found.pictures.append(draw_neighbours(task, network.name, drawn, result.samples))
    return found
