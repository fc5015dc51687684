"""What metrics find of a set of examples, each a number with its error."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sde_jax.evaluation.reference import Gathered
from sde_jax.interop.statistics_file import Reference
from sde_jax.metrics import (
    Closeness,
    Predictions,
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from sde_jax.recipes.evaluation_settings import MetricName
from sde_jax.recipes.interfaces import Measured
from sde_jax.runs.measurement import summarize

__all__ = ["Finding", "Subject", "of_closeness", "of_features", "of_likelihoods", "of_predictions"]

Subject = Literal["run", "held-out data"]
"""Held-out data, measured like samples of the run, are what these are judged by."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A measured number."""

    metric: str
    features: str | None
    """The feature network; None where there is none."""
    of: Subject
    value: float
    stderr: float
    """NaN where it is unknown."""
    counts: tuple[int | None, ...]
    """Images used of each set; None where it is not known."""
    expected: float | None = None
    """What two sets of these sizes of one distribution would have; None where that is not known."""
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All of it; NaN is null."""
        return {
            "metric": self.metric,
            "features": self.features,
            "of": self.of,
            "value": plain(self.value),
            "stderr": plain(self.stderr),
            "counts": list(self.counts),
            "expected": plain(self.expected),
            **{name: plain(value) for name, value in self.details.items()},
        }


def found(
    metric: str,
    network: str,
    subject: Subject,
    estimate: Any,
    *,
    expected: float | None = None,
    **details: Any,
) -> Finding:
    """The finding of what has a value, its error and its counts."""
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
    """What a metric of features finds; nothing where it does not apply to them.

    Args:
      metric: which.
      network: the name of the feature network.
      subject: whose ``measured`` is.
      measured: samples, or held-out data in their place.
      reference: what they are compared with.
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
    elif y is None:
        return
    elif metric == "kernel":
        yield found("kernel_distance", network, subject, kernel_distance(x, y), expected=0.0)
    elif metric == "precision-recall":
        for name, estimate in precision_recall(x, y)._asdict().items():
            yield found(name, network, subject, estimate)
    elif metric == "density-coverage":
        for name, estimate in density_coverage(x, y)._asdict().items():
            yield found(name, network, subject, estimate)


def of_predictions(network: str, subject: Subject, predicted: Predictions) -> Iterator[Finding]:
    """What a classifier's predictions say."""
    generated, real, distance = predicted.generated, predicted.real, predicted.label_distance
    yield found("mean_max_logit", network, subject, generated.mean_max_logit)
    unsure = generated.unsure_share
    yield found("unsure_share", network, subject, unsure, threshold=predicted.threshold)
    yield found("label_entropy", network, subject, generated.entropy)
    shares = [share.value for share in generated.label_shares]
    real_shares = [share.value for share in real.label_shares]
    yield found(
        "label_distance",
        network,
        subject,
        distance,
        expected=distance.expected,
        shares=shares,
        real_shares=real_shares,
    )


def of_closeness(network: str, closeness: Closeness) -> Iterator[Finding]:
    """Whether samples are closer to training data than held-out data are."""
    test = {"z": closeness.z, "p_value": closeness.p_value}
    yield found("closer", network, "run", closeness.closer, expected=0.5, **test)
    yield found("near", network, "run", closeness.near, expected=closeness.near_expected)


def of_likelihoods(metric: str, measured: Measured, dimensions: int) -> Finding:
    """Bits per dimension of held-out data, as ``metric``."""
    summary = summarize(measured, dimensions)
    value, stderr = (summary.pop(name) for name in ("bits_per_dim", "stderr"))
    return Finding(
        metric=metric,
        features=None,
        of="run",
        value=math.nan if value is None else value,
        stderr=math.nan if stderr is None else stderr,
        counts=(summary.pop("count"),),
        details=summary,
    )


def plain(value: Any) -> Any:
    """``value`` for JSON, which has no NaN and no numpy."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = getattr(value, "item", lambda: value)()
    return None if isinstance(value, float) and not math.isfinite(value) else value
