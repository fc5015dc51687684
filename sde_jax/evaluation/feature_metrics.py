"""Comparison of samples and held-out data with the training data, under a feature network."""

from typing import NamedTuple

import numpy as np

from sde_jax.data import TEST
from sde_jax.evaluation.features import FeatureNetwork
from sde_jax.evaluation.findings import Finding, Subject, of_features, of_predictions
from sde_jax.evaluation.pictures import Picture, draw_predictions
from sde_jax.evaluation.reference import Gathered, compute_reference, describe
from sde_jax.evaluation.task import Drawn, Task
from sde_jax.interop import KEPT, Reference
from sde_jax.metrics import compare_predictions
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
