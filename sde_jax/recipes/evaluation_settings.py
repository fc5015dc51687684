"""Settings of the evaluation of a run."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.validation import Only, Rule, Spec, at_least, require

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
"""Metrics of models without a density."""

LEAST = 30
"""Least number of samples for every metric."""

ENOUGH = Rule(f"be at least {LEAST}, which every metric needs", lambda count: count >= LEAST)


_LIKELIHOODS = Only("`metrics` has likelihood", lambda spec: "likelihood" in spec.metrics)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Spec):
    """Defaults of `evaluate`. The experiment's likelihood settings apply to its likelihoods."""

    count: Annotated[int, ENOUGH] = 50_000
    """Samples to draw."""
    likelihood_count: Annotated[int | None, at_least(1), _LIKELIHOODS] = None
    """Number of test examples whose likelihood is measured, the first ones; None: all."""
    likelihood_of: Annotated[Literal["images", "mean"], _LIKELIHOODS] = "images"
    """images: the likelihood of each test example. mean: their mean alone, in as few fixed steps as
    a tenth of its error needs (multilevel Monte Carlo); score models only."""
    reference_count: Annotated[int | None, at_least(1)] = None
    """Number of training examples to compare samples with, the first ones; None: all."""
    metrics: tuple[MetricName, ...] = METRICS
    """Metrics to compute, each for every feature network that it applies to. Memorization is also
    measured in the data's own coordinates."""
    features: tuple[FeatureName, ...] = ("inception",)
    """Features to compare: the data's own coordinates, those of a classifier that was trained
    here, and those of the published Inception network."""
    classifier: str | None = None
    """The run of the classifier: a path, or the name of a run in the same folder."""
    sampling: SamplerSettings | None = SamplerSettings()
    """The sampler; None for models with a sampler of their own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, known in (("metrics", METRICS), ("features", FEATURES)):
            fits = {*getattr(self, field)} <= {*known}
            require(self, field, fits, f"be some of {', '.join(known)}")
