"""Comparison of samples and held-out data with the training data, under a feature network."""

from typing import NamedTuple

import numpy as np

from sde_jax.data import TEST, TRAIN
from sde_jax.evaluation.examples import read_examples
from sde_jax.evaluation.features import FeatureNetwork, coordinates, extract_batches, features_of
from sde_jax.evaluation.findings import Finding, Subject, of_closeness, of_features, of_predictions
from sde_jax.evaluation.pictures import Picture, draw_neighbours, draw_predictions
from sde_jax.evaluation.reference import Gathered, compute_reference, describe
from sde_jax.evaluation.task import Drawn, Task
from sde_jax.interop import KEPT, Reference
from sde_jax.metrics import compare_predictions, detect_memorization
from sde_jax.recipes.evaluation_settings import LEAST


class Compared(NamedTuple):
    """Findings and their pictures."""

    findings: list[Finding]
    pictures: list[Picture]


def compare_features(
    task: Task, network: FeatureNetwork, drawn: Drawn, known: Reference
) -> Compared:
    """Returns the findings of all metrics of features; ``known`` describes the training data."""
    samples = describe(network, drawn.data, task.batch_size)
    subjects: dict[Subject, Gathered] = {"run": samples}
    if task.run.source.sizes.get(TEST, 0) >= LEAST:
        held_out = statistics_of(task, network, TEST, KEPT)
        subjects["held-out data"] = Gathered(
            held_out.gaussian, np.asarray(held_out.features), held_out.logits
        )
    found = Compared([], [])
    for metric in task.settings.metrics:
        for subject, measured in subjects.items():
            if metric != "predictions":
                found.findings.extend(of_features(metric, network.name, subject, measured, known))
            elif network.name == "classifier" and known.logits is not None:
                assert measured.logits is not None, "a classifier has logits"
                predicted = compare_predictions(measured.logits, known.logits)
                found.findings.extend(of_predictions(network.name, subject, predicted))
                if subject == "run":
                    found.pictures.extend(draw_predictions(task, drawn, predicted))
    return found


def statistics_of(task: Task, network: FeatureNetwork, split: str, count: int | None) -> Reference:
    """Returns the statistics of a split of the run's data."""
    return compute_reference(
        network,
        task.run.experiment.data,
        split,
        count=count,
        source=task.run.source,
        batch_size=task.batch_size,
    )


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
    return [*found, coordinates(*task.run.layout)]


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
