"""How a run of an experiment is evaluated."""

from dataclasses import dataclass
from typing import Literal, get_args

from sde_jax.recipes.sampler_settings import SamplerSettings

__all__ = [
    "FEATURES",
    "LEAST",
    "MEASURABLE",
    "METRICS",
    "EvaluationSettings",
    "FeatureName",
    "MetricName",
]

FeatureName = Literal["coordinates", "classifier", "inception"]
FEATURES: tuple[FeatureName, ...] = get_args(FeatureName)

MetricName = Literal[
    "frechet",
    "kernel",
    "precision-recall",
    "density-coverage",
    "inception-score",
    "predictions",
    "memorization",
    "likelihood",
]
METRICS: tuple[MetricName, ...] = get_args(MetricName)

MEASURABLE = tuple(metric for metric in METRICS if metric != "likelihood")
"""Of models without a density."""

LEAST = 30
"""Samples that every metric has enough of."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How `evaluate` measures a run, unless told otherwise; its likelihoods are measured as the
    experiment's likelihood says."""

    count: int = 50_000
    """Samples to draw."""
    likelihood_count: int | None = None
    """Examples of the test split whose likelihood is measured, the first ones; None: all."""
    reference_count: int | None = None
    """Training examples that samples are compared with, the first ones; None: all."""
    metrics: tuple[MetricName, ...] = METRICS
    """What to measure, of every feature network that it applies to; memorization in the data's own
    coordinates, too, whatever the features."""
    features: tuple[FeatureName, ...] = ("inception",)
    """Whose features are compared: the data's own coordinates, those of the project's classifier,
    and those of the published Inception."""
    classifier: str | None = None
    """The classifier's run, or the name of one in the same folder as the run."""
    sampling: SamplerSettings | None = SamplerSettings()
    """How; None where the model is drawn in but one way."""

    def __post_init__(self) -> None:
        if self.count < LEAST:
            raise ValueError(
                f"`count` must be at least {LEAST}, which every metric can be had of: got "
                f"{self.count}."
            )
        for field in ("likelihood_count", "reference_count"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"`{field}` must be at least 1: got {value}. All: None.")
        for field, known in (("metrics", METRICS), ("features", FEATURES)):
            for name in getattr(self, field):
                if name not in known:
                    raise ValueError(f"`{field}` must be some of {', '.join(known)}: got {name}.")
