"""Samples and held-out data beside the training data, under a feature network."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from sde_jax.evaluation.features import Extracted, FeatureNetwork, extractor
from sde_jax.evaluation.findings import Finding, Subject, of_features, of_predictions
from sde_jax.evaluation.pictures import Picture, draw_predictions
from sde_jax.evaluation.reference import Gathered, gather, reference
from sde_jax.evaluation.task import TEST, Drawn, Task
from sde_jax.interop.statistics_file import KEPT, Reference
from sde_jax.metrics import compare_predictions
from sde_jax.recipes.evaluation_settings import LEAST

__all__ = ["Compared", "compare_features", "of_split"]

NEIGHBOURS = 5


class Compared(NamedTuple):
    """What was found, and pictures of it."""

    findings: list[Finding]
    pictures: list[Picture]


def compare_features(
    task: Task, network: FeatureNetwork, drawn: Drawn, known: Reference
) -> Compared:
    """All that the task's metrics find under a network; ``known`` are the training data."""
    held_out = of_held_out(task, network)
    subjects: dict[Subject, Gathered] = {"run": described(task, network, drawn.data)}
    if held_out is not None:
        subjects["held-out data"] = held_out
    found = Compared([], [])
    for metric in task.settings.metrics:
        for subject, measured in subjects.items():
            found.findings.extend(of_features(metric, network.name, subject, measured, known))
            if metric == "predictions":
                add_predictions(found, task, network, drawn, subject, measured, known)
    return found


def add_predictions(
    found: Compared,
    task: Task,
    network: FeatureNetwork,
    drawn: Drawn,
    subject: Subject,
    measured: Gathered,
    known: Reference,
) -> None:
    """Adds what the project's classifier predicts; another network has other classes."""
    if network.name != "classifier" or measured.logits is None or known.logits is None:
        return
    predicted = compare_predictions(measured.logits, known.logits)
    found.findings.extend(of_predictions(network.name, subject, predicted))
    if subject == "run":
        found.pictures.extend(draw_predictions(task, drawn, predicted))


def of_split(task: Task, network: FeatureNetwork, split: str, count: int | None) -> Reference:
    """The statistics of a split of the run's data."""
    return reference(
        network,
        task.run.experiment.data,
        split,
        count=count,
        source=task.run.source,
        batch_size=task.batch_size,
        mesh=task.mesh,
    )


def of_held_out(task: Task, network: FeatureNetwork) -> Gathered | None:
    """The test split's first examples; None where there are too few to measure anything."""
    if task.run.source.sizes.get(TEST, 0) < LEAST:
        return None
    known = of_split(task, network, TEST, KEPT)
    return Gathered(known.gaussian, np.asarray(known.features), known.logits)


def described(task: Task, network: FeatureNetwork, data: np.ndarray) -> Gathered:
    """The statistics of samples."""
    return gather(extracted(task, network, in_batches(task, data)), network.dimension)


def in_batches(task: Task, data: np.ndarray) -> Iterator[np.ndarray]:
    """The data in batches of the task's size."""
    starts = range(0, len(data), task.batch_size)
    return (data[first : first + task.batch_size] for first in starts)


def extracted(
    task: Task, network: FeatureNetwork, batches: Iterable[np.ndarray]
) -> Iterator[Extracted]:
    """The features of batches, of the task's size at most."""
    extract = extractor(network, task.mesh, task.batch_size)
    shown = {"unit": " examples", "desc": f"{network.name} features"}
    with tqdm(**shown) as progress:
        for batch in batches:
            yield extract(batch)
            progress.update(len(batch))
