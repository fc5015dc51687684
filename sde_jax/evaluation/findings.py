"""Findings: the results of metrics, each a number with its error."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sde_jax.data import Layout
from sde_jax.evaluation.reference import Gathered
from sde_jax.interop import Reference
from sde_jax.metrics import (
    Closeness,
    Estimate,
    Predictions,
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from sde_jax.recipes.evaluation_settings import MetricName
from sde_jax.recipes.interfaces import Measured
from sde_jax.runs.measurement import plain, summarize, unit_of

Subject = Literal["run", "held-out data"]
"""The samples of a run, or held-out data, which are measured in the same way."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of a metric."""

    metric: str
    features: str | None
    """Name of the feature network; None for likelihoods."""
    of: Subject
    value: float
    stderr: float
    """Standard error; NaN if it is unknown."""
    counts: tuple[int | None, ...]
    """Number of examples of each set; None if it is unknown."""
    expected: float | None = None
    """Expected value for two sets of these sizes of one distribution; None if it is unknown."""
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Returns all fields and details; None stands for NaN."""
        fields = {name: value for name, value in vars(self).items() if name != "details"}
        return {name: plain(value) for name, value in {**fields, **self.details}.items()}


def found(
    metric: str,
    network: str | None,
    subject: Subject,
    estimate: Any,
    *,
    expected: float | None = None,
    **details: Any,
) -> Finding:
    """Returns the finding of an estimate with ``value``, ``stderr`` and ``counts``."""
    return Finding(
        metric=metric,
        features=network,
        of=subject,
        value=estimate.value,
        stderr=estimate.stderr,
        counts=estimate.counts,
        expected=expected,
        details=details,
    )


def of_features(
    metric: MetricName, network: str, subject: Subject, measured: Gathered, reference: Reference
) -> Iterator[Finding]:
    """Yields the findings of a metric of features; none if it does not apply to them.

    Args:
      metric: name of the metric.
      network: name of the feature network.
      subject: the subject of ``measured``.
      measured: features of samples or of held-out data.
      reference: features of training data.
    """
    x, y = measured.features, reference.features
    if metric == "frechet":
        distance = frechet_distance(measured.gaussian, reference.gaussian)
        names = ("dimension", "ranks", "rank_deficient")
        details = {name: getattr(distance, name) for name in names}
        yield found(
            "frechet_distance", network, subject, distance, expected=distance.bias, **details
        )
    elif metric == "inception-score" and network == "inception" and measured.logits is not None:
        score = inception_score(measured.logits)
        yield found("inception_score", network, subject, score, split_scores=score.split_scores)
    elif metric == "kernel" and y is not None:
        yield found("kernel_distance", network, subject, kernel_distance(x, y), expected=0.0)
    elif metric in NEIGHBOURHOODS and y is not None:
        for name, estimate in NEIGHBOURHOODS[metric](x, y)._asdict().items():
            yield found(name, network, subject, estimate)


NEIGHBOURHOODS: Mapping[str, Any] = {
    "precision-recall": precision_recall,
    "density-coverage": density_coverage,
}


def of_predictions(network: str, subject: Subject, predicted: Predictions) -> Iterator[Finding]:
    """Yields the findings of a classifier's predictions."""
    generated, distance = predicted.generated, predicted.label_distance
    yield found("mean_max_logit", network, subject, generated.mean_max_logit)
    unsure = generated.unsure_share
    yield found("unsure_share", network, subject, unsure, threshold=predicted.threshold)
    yield found("label_entropy", network, subject, generated.entropy)
    yield found(
        "label_distance",
        network,
        subject,
        distance,
        expected=distance.expected,
        shares=[share.value for share in generated.label_shares],
        real_shares=[share.value for share in predicted.real.label_shares],
    )


def of_closeness(network: str, closeness: Closeness) -> Iterator[Finding]:
    """Yields the findings of distances to training data, against held-out data."""
    test = {"z": closeness.z, "p_value": closeness.p_value}
    yield found("closer", network, "run", closeness.closer, expected=0.5, **test)
    yield found("near", network, "run", closeness.near, expected=closeness.near_expected)


def of_likelihoods(metric: str, measured: Measured, layout: Layout) -> Finding:
    """Returns the finding ``metric`` of the likelihood of held-out data, in its unit."""
    summary = summarize(measured, layout)
    value, stderr = (
        math.nan if number is None else number
        for number in (summary.pop(unit_of(layout).name), summary.pop("stderr"))
    )
    estimate = Estimate(value, stderr, (summary.pop("count"),))
    return found(metric, None, "run", estimate, **summary)


def of_mean(metric: str, columns: Mapping[str, np.ndarray]) -> Finding:
    """Returns the finding ``metric`` of the mean likelihood alone."""
    numbers = {name: column[0].item() for name, column in columns.items()}
    count = numbers.pop("count")
    estimate = Estimate(numbers.pop("value"), numbers.pop("stderr"), (count,))
    return found(metric, None, "run", estimate, **numbers, failed=[])
