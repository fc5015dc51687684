"""An evaluation: samples, everything that is measured of them, and the record of it."""

import contextlib
import dataclasses
import datetime
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sde_jax.atomic import write_json
from sde_jax.data import ENDLESS
from sde_jax.evaluation.closeness import closeness_networks, find_closeness
from sde_jax.evaluation.feature_metrics import compare_features, of_split
from sde_jax.evaluation.features import FeatureNetwork
from sde_jax.evaluation.findings import Finding, of_likelihoods
from sde_jax.evaluation.networks import available
from sde_jax.evaluation.pictures import Picture, draw_bits, draw_samples, draw_training
from sde_jax.evaluation.reference import read_statistics
from sde_jax.evaluation.report import write_report
from sde_jax.evaluation.task import TEST, TRAIN, Task
from sde_jax.interop.statistics_file import Reference
from sde_jax.recipes.serialization import to_config
from sde_jax.reporting import report
from sde_jax.training.versions import environment

__all__ = ["RECORD", "REPORT", "evaluate"]

RECORD, REPORT = "evaluation.json", "report.html"


def evaluate(task: Task, statistics: Path | None = None) -> dict[str, Any]:
    """Draws, measures, and writes ``evaluation.json`` and ``report.html`` in the task's folder.

    One process does it all. A killed evaluation goes on where it
    stopped. But for the times the same task gives the same record, which is returned.

    Args:
      task: what to evaluate, and how.
      statistics: a file of the reference's statistics, of the one feature network that is used.

    Raises:
      ValueError: if a metric, a feature network or the file does not fit the data or each other.
      OSError: if something cannot be written.
    """
    check(task)
    seconds: dict[str, float] = {}
    networks = available(task.settings, task.run)
    for name, how in networks.missing.items():
        report(f"no {name} features: {how}")
    with timed(seconds, "references"):
        references = known_references(task, networks.found, statistics)
    task.prepare()
    with timed(seconds, "samples"):
        drawn = task.samples()
    found: list[Finding] = []
    pictures: list[Picture | None] = [draw_samples(task, drawn)]
    for network in networks.found:
        with timed(seconds, f"{network.name} metrics"):
            compared = compare_features(task, network, drawn, references[network.name])
        found += compared.findings
        pictures += compared.pictures
    for network in closeness_networks(task, networks.found):
        with timed(seconds, f"{network.name} memorization"):
            compared = find_closeness(task, network, drawn)
        found += compared.findings
        pictures += compared.pictures
    if "likelihood" in task.settings.metrics:
        with timed(seconds, "likelihood"):
            measured = task.likelihoods()
        bits = task.run.experiment.bits
        found.append(of_likelihoods(bits, measured, math.prod(task.run.layout.shape)))
        pictures.append(draw_bits(task, measured))
    pictures.append(draw_training(task))
    record = {
        "run": str(task.run.directory.path),
        **task.identity,
        "settings": to_config(task.settings),
        "samples": {"count": len(drawn.data), "nfe": drawn.nfe, "failed": drawn.failed},
        "reference": {name: dict(of.identity) for name, of in references.items()},
        "missing": dict(networks.missing),
        "findings": [finding.to_json() for finding in found],
        "pictures": [dataclasses.asdict(picture) for picture in pictures if picture],
        "versions": environment(),
        "seconds": seconds,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(task.folder / RECORD, record)
    write_report(record, task.folder, task.folder / REPORT)
    return record


def check(task: Task) -> None:
    """Refuses metrics that the data do not have examples for."""
    sizes, metrics = task.run.source.sizes, task.settings.metrics
    if "likelihood" in metrics and task.run.density(task.likelihood) is None:
        raise ValueError(
            f"a {task.run.experiment.kind} has no likelihood: leave likelihood out of --metrics."
        )
    if "likelihood" in metrics and TEST not in sizes:
        raise ValueError(
            f"the data have no {TEST} split to measure: leave likelihood out of --metrics."
        )
    if "memorization" in metrics and sizes[TRAIN] == ENDLESS:
        raise ValueError(
            "there is no end to the training data, and nothing to memorize: leave memorization out "
            "of --metrics."
        )


@contextlib.contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Notes the wall time of a part."""
    started = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - started, 2)


def known_references(
    task: Task, networks: list[FeatureNetwork], statistics: Path | None
) -> dict[str, Reference]:
    """What samples are compared with, by the feature network: from the file, if there is one."""
    data, count = task.run.experiment.data, task.settings.reference_count
    source = task.run.source
    if statistics is None:
        return {network.name: of_split(task, network, TRAIN, count) for network in networks}
    if len(networks) != 1:
        raise ValueError(
            f"--statistics are of one feature network, but {len(networks)} are to be used: "
            "--features names them."
        )
    known = read_statistics(statistics, networks[0], data, TRAIN, count=count, source=source)
    return {networks[0].name: known}
