"""Compares posteriors of simulators, and the time for them, with NPSE and FMPE of sbi.

    taskset -c 0 python -m benchmarks simulators --runs RUNS

Every method has the same 10,000 simulations, and draws 10,000 samples for each of the ten
observations of sbibm. Accuracies are those of a classifier that tells samples from the reference
posterior (C2ST), with standard errors over observations. Times are CPU time of training and
sampling, compilation included, which other programs disturb little; on one core every library has
one thread. The peer's results, which take minutes each, are kept in ``RUNS/NAME``.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from benchmarks.peer_process import PeerProcess
from benchmarks.row import BenchmarkOptions, Row, Spread, not_installed
from experiments.studies.posterior_quality import draw_posteriors
from experiments.studies.sbibm_files import Observation, observations
from sde_jax import train
from sde_jax.atomic import write_json
from sde_jax.data import DataNotFoundError, Simulator
from sde_jax.metrics import classifier_two_sample, mean_estimate
from sde_jax.recipes import ScoreExperiment
from sde_jax.runs import find

NAMES = ("two_moons", "slcp", "gaussian_linear_uniform", "gaussian_mixture")
METHODS = ("NPSE", "FMPE")
FASTER = 2.0


class Posteriors(NamedTuple):
    """Quality and cost of the posteriors of all observations by one method."""

    method: str
    accuracies: list[float]
    """Accuracy of the classifier for each observation."""
    seconds: float
    """CPU time of training and sampling."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields accuracy and time against every method, for each simulator."""
    for name in NAMES[: 1 if options.quick else None]:
        try:
            known = observations(name)
        except DataNotFoundError as error:
            yield Row(case=name, unit="", peer="sbi", missing=str(error), checked="")
            continue
        experiment: Any = find(name).experiment
        if options.quick:
            experiment, known = small(experiment), known[:2]
        ours = our_posteriors(experiment, known)
        for method in METHODS:
            try:
                folder = None if options.quick or options.runs is None else options.runs / name
                theirs = kept(method, experiment.data, known, folder)
            except ModuleNotFoundError as error:
                missing = not_installed(error)
                yield Row(case=name, unit="", peer=method, missing=missing, checked="")
            else:
                yield from compare(name, ours, theirs)


def our_posteriors(experiment: ScoreExperiment, known: list[Observation]) -> Posteriors:
    """Trains the experiment, and samples."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        drawn = draw_posteriors(train(experiment, folder), known)
        return judged("ours", drawn, known, time.process_time() - started)


def small(experiment: ScoreExperiment) -> ScoreExperiment:
    """Returns the experiment of few simulations and updates."""
    data = replace(cast(Simulator, experiment.data), count=500)
    training = replace(experiment.training, steps=100, eval_every=50, checkpoint_every=100)
    return replace(experiment, data=data, training=training)


def kept(
    method: str, simulator: Simulator, known: list[Observation], folder: Path | None
) -> Posteriors:
    """Returns the result of the peer, from its file in a folder if it is there.

    Raises:
      ModuleNotFoundError: if the peer is not installed.
    """
    path = None if folder is None else folder / f"{method}.json"
    if path is not None and path.is_file():
        return Posteriors(**json.loads(path.read_text()))
    found = their_posteriors(method, simulator, known)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found._asdict())
    return found


def their_posteriors(method: str, simulator: Simulator, known: list[Observation]) -> Posteriors:
    """Trains the peer on the same simulations in a process of its own, and samples."""
    prior, (parameters, simulations) = simulator.prior, simulator.simulations()
    seen, count = np.stack([one.x for one in known]), len(known[0].posterior)
    arguments = (method, (prior.low, prior.high), parameters, simulations, seen, count)
    with PeerProcess("torch", "benchmarks.sbi_peer", "posterior_sampler", *arguments) as peer:
        drawn, seconds = peer()
        return judged(peer.name, list(drawn), known, seconds)


def judged(
    method: str, drawn: list[np.ndarray], known: list[Observation], seconds: float
) -> Posteriors:
    """Compares the samples with the reference posteriors."""
    pairs = zip(known, drawn, strict=True)
    accuracies = [classifier_two_sample(one.posterior, samples).value for one, samples in pairs]
    return Posteriors(method, accuracies, seconds)


def compare(name: str, ours: Posteriors, theirs: Posteriors) -> Iterator[Row]:
    """Yields a row for the accuracies and one for the times."""
    (mean, stderr, count), (other, other_stderr, _) = (
        mean_estimate(np.array(one.accuracies)) for one in (ours, theirs)
    )
    # The observations are the same.
    excess = np.subtract(theirs.accuracies, ours.accuracies)
    error = float(excess.std(ddof=1)) / len(excess) ** 0.5
    checked = f"{count[0]} observations; theirs exceeds ours by {excess.mean():.3f} +- {error:.3f}"
    yield Row(
        case=f"{name}: C2ST",
        unit="",
        ours=Spread.of(mean, stderr),
        peer=theirs.method,
        theirs=Spread.of(other, other_stderr),
        ratio=Spread.of(other / mean, error / mean),
        at_least=1.0,
        checked=checked,
    )
    yield Row(
        case=f"{name}: training and sampling",
        unit="s",
        ours=Spread.of(ours.seconds),
        peer=theirs.method,
        theirs=Spread.of(theirs.seconds),
        ratio=Spread.of(theirs.seconds / ours.seconds),
        at_least=FASTER,
        checked="by C2ST",
    )
