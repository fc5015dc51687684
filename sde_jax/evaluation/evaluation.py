"""The evaluation of a run: samples, metrics, likelihoods, and their record."""

import contextlib
import dataclasses
import datetime
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sde_jax.atomic import write_json
from sde_jax.data import ENDLESS, TEST, TRAIN
from sde_jax.evaluation.feature_metrics import (
    Compared,
    closeness_networks,
    compare_features,
    find_closeness,
    statistics_of,
)
from sde_jax.evaluation.features import FeatureNetwork
from sde_jax.evaluation.findings import of_likelihoods, of_mean
from sde_jax.evaluation.networks import available
from sde_jax.evaluation.pictures import draw_bits, draw_samples, draw_training
from sde_jax.evaluation.reference import read_statistics
from sde_jax.evaluation.report import write_report
from sde_jax.evaluation.task import Drawn, Task
from sde_jax.interop import Reference
from sde_jax.recipes.likelihood_settings import by_flow
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.serialization import to_config
from sde_jax.reporting import report
from sde_jax.runs.measurement import unit_of
from sde_jax.training import environment
from sde_jax.training.processes import of_first

RECORD, REPORT = "evaluation.json", "report.html"


def evaluate(task: Task, statistics: Path | None = None) -> dict[str, Any]:
    """Evaluates a task, writes ``evaluation.json`` and ``report.html`` in its folder, and returns
    the record.

    Every process must call this and return the same; the first one writes. A killed evaluation
    resumes, in any number of processes. The same task gives the same record, except for the times.

    Args:
      task: the run and the settings.
      statistics: a file of reference statistics, if one feature network is used.

    Raises:
      ValueError: if a metric, a feature network or the file does not fit the data.
      OSError: if a file cannot be written.
    """
    check(task)
    seconds: dict[str, float] = {}
    networks, missing = available(task.settings, task.run)
    for name, remedy in missing.items():
        report(f"no {name} features: {remedy}")
    with timed(seconds, "references"):
        references = known_references(task, networks, statistics)
    task.prepare()
    with timed(seconds, "samples"):
        drawn = task.samples()
    parts = list(measure_all(task, drawn, references, networks, seconds))
    record = {
        "run": str(task.run.directory.path),
        **task.identity,
        "settings": to_config(task.settings),
        "samples": {"count": len(drawn.data), "nfe": drawn.nfe, "failed": drawn.failed},
        "reference": {name: dict(of.identity) for name, of in references.items()},
        "missing": missing,
        "findings": [finding.to_json() for part in parts for finding in part.findings],
        "pictures": [dataclasses.asdict(picture) for part in parts for picture in part.pictures],
        "versions": environment(),
        "seconds": seconds,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    of_first(lambda: write_json(task.folder / RECORD, record))
    of_first(lambda: write_report(record, task.folder, task.folder / REPORT))
    return record


def measure_all(
    task: Task,
    drawn: Drawn,
    references: Mapping[str, Reference],
    networks: list[FeatureNetwork],
    seconds: dict[str, float],
) -> Iterator[Compared]:
    """Yields all findings and pictures; records the wall time of each part in ``seconds``."""
    yield Compared([], [draw_samples(task, drawn)])
    for network in networks:
        with timed(seconds, f"{network.name} metrics"):
            compared = compare_features(task, network, drawn, references[network.name])
        yield compared
    for network in closeness_networks(task, networks):
        with timed(seconds, f"{network.name} memorization"):
            compared = find_closeness(task, network, drawn)
        yield compared
    if "likelihood" in task.settings.metrics:
        with timed(seconds, "likelihood"):
            compared = likelihoods_of(task)
        yield compared
    yield Compared([], draw_training(task))


def likelihoods_of(task: Task) -> Compared:
    """Returns the likelihood of the test split, with a picture of those of each example."""
    layout = task.run.layout
    name = task.run.experiment.bits_by(layout, task.likelihood)
    name = name.replace("bits_per_dim", unit_of(layout).name)
    if task.settings.likelihood_of == "mean":
        return Compared([of_mean(name, task.mean_likelihood())], [])
    measured = task.likelihoods()
    finding = of_likelihoods(name, measured, layout)
    return Compared([finding], draw_bits(task, measured))


def check(task: Task) -> None:
    """Raises ValueError if the model or the data cannot give the samples or a metric."""
    task.check_samples()
    sizes, metrics = task.run.source.sizes, task.settings.metrics
    if "likelihood" in metrics and task.run.density(task.likelihood) is None:
        raise ValueError(
            f"a {task.run.experiment.kind} has no likelihood: leave likelihood out of --metrics."
        )
    if "likelihood" in metrics and TEST not in sizes:
        raise ValueError(
            f"the data have no {TEST} split to measure: leave likelihood out of --metrics."
        )
    if "likelihood" in metrics and task.settings.likelihood_of == "mean":
        check_mean(task)
    if "memorization" in metrics and sizes[TRAIN] == ENDLESS:
        raise ValueError(
            "the training data are endless, and cannot be memorized: leave memorization out of "
            "--metrics."
        )


def check_mean(task: Task) -> None:
    """Raises ValueError if the mean likelihood cannot be measured in fixed steps."""
    experiment = task.run.experiment
    if not isinstance(experiment, ScoreExperiment) or not by_flow(task.likelihood):
        raise ValueError(
            "`likelihood_of` must be images unless the likelihood is that of a score model by its "
            f"probability flow: got mean for a {experiment.kind}."
        )


@contextlib.contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Records the wall time of a block in ``seconds``."""
    started = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - started, 2)


def known_references(
    task: Task, networks: list[FeatureNetwork], statistics: Path | None
) -> dict[str, Reference]:
    """Returns the reference statistics of each feature network, from the file if it is given."""
    data, count = task.run.experiment.data, task.settings.reference_count
    source = task.run.source
    if statistics is None:
        return {network.name: statistics_of(task, network, TRAIN, count) for network in networks}
    if len(networks) != 1:
        raise ValueError(
            f"--statistics are of one feature network, but {len(networks)} are used: name one with "
            "--features."
        )
    known = read_statistics(statistics, networks[0], data, TRAIN, count=count, source=source)
    return {networks[0].name: known}
