"""Reports: measurements of a run that belong to the results of its experiment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.studies.answers import Answers
from experiments.studies.field_quality import FieldQuality
from experiments.studies.jumps import Jumps
from experiments.studies.posterior_quality import PosteriorQuality
from experiments.studies.residuals import Residuals
from experiments.studies.ring_quality import RingQuality
from experiments.studies.study import Report
from sde_jax.data import GaussianField, Ring, Simulator
from sde_jax.evaluation import held_out_accuracy
from sde_jax.recipes import Classifying, Conditional, DenoiserPrior, Named, Student, Trainable


@dataclass(frozen=True, kw_only=True)
class Accuracy(Report):
    """The accuracy of a classifier on the test split."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the accuracy, at every noise level if the classifier knows them."""
        return held_out_accuracy(runs / self.run)


def report_of(named: Named[Trainable]) -> Report | None:
    """Returns the report of an experiment, if it has one."""
    experiment = named.experiment
    if isinstance(experiment.data, Ring):
        return RingQuality(run=named.name)
    if isinstance(experiment.data, GaussianField):
        return FieldQuality(run=named.name)
    if isinstance(experiment.data, Simulator):
        return PosteriorQuality(run=named.name)
    reports: dict[type[Trainable], type[Report]] = {
        Classifying: Accuracy,
        Conditional: Answers,
        DenoiserPrior: Residuals,
        Student: Jumps,
    }
    for kind, report in reports.items():
        if isinstance(experiment, kind):
            return report(run=named.name)
    return None
