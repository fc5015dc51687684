"""Compares ways to match scores: samples, noise of gradients, time of a step."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.studies.drawn import kept_samples, seconds_of
from experiments.studies.gradient_noise import (
    FixedTime,
    estimate,
    gradient_of,
    gradients,
    products,
    signal_to_noise,
    times_variance,
)
from experiments.studies.matching_figures import draw_gradients, draw_samples
from experiments.studies.study import Results, Study
from sde_jax.data import TEST, TRAIN
from sde_jax.evaluation import WORDING, markdown_table, newest, plain, with_error
from sde_jax.metrics import Estimate
from sde_jax.objectives import TimeSampler
from sde_jax.runs import ScoreRun, open_run, training_seconds
from sde_jax.training import update_options
from sde_jax.validation import require

SHOWN_METRICS = ("frechet_distance", "precision", "recall", "mean_max_logit", "bits_per_dim")
SHOWN = 2000


@dataclass(frozen=True, kw_only=True)
class MatchingComparison(Study):
    """A comparison of runs of one network on the same data that differ in their matching.

    Quality is that of the newest evaluation of each run and of its report. Gradients g_k of every
    matching are at the first run's averaged parameters, with its batch size, times and weighting.
    They then have the same mean g, the signal: ``|g|^2`` is estimated from the first run for all.
    At the end of training it is nearly zero, and only the variances ``E |g_k - g|^2`` differ. Steps
    of all runs are timed in turn.
    """

    runs: tuple[tuple[str, str], ...]
    """Title and name of each run; the first is the baseline."""
    draws: int = 32
    """Number of gradients of each run, with independent batches, noise and directions."""
    times: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 0.9)
    """Single times at which the variance of gradients is measured as well."""
    rounds: int = 20
    """Number of timed steps of each run."""

    def __post_init__(self) -> None:
        require(self, "runs", len(self.runs) >= 2, "be two or more, to be compared")
        for field in ("draws", "rounds"):
            value = getattr(self, field)
            if value < 2:
                raise ValueError(f"`{field}` must be at least 2, for an error: got {value}.")

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns quality and costs of each run; draws ``samples.png`` and ``gradients.png``."""
        opened = {title: open_run(runs / name) for title, name in self.runs}
        first = next(iter(opened.values()))
        found = {title: quality(runs / name) for title, name in self.runs}
        noise, steps = self._gradient_noise(opened), timed_in_turn(opened, self.rounds)
        held_out = next(first.source.batches(jax.random.key(0), TEST, SHOWN)).x
        known = {"held-out data": np.asarray(first.layout.scaling.to_unit(held_out))}
        samples = {title: kept_samples(run).data[:SHOWN] for title, run in opened.items()}
        draw_samples(known | samples, pictures / "samples.png")
        draw_gradients(noise, steps, pictures / "gradients.png")
        methods = {
            title: {
                "run": name,
                "steps": opened[title].step,
                "seconds": training_seconds(opened[title].directory),
                **found[title],
                "gradient": noise[title],
                "step": steps[title],
            }
            for title, name in self.runs
        }
        batch_size = first.experiment.training.batch_size
        return {"methods": methods, "batch_size": batch_size, "draws": self.draws}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each run."""
        methods = results["methods"]
        names = [name for each in methods.values() for name in shown_quality(each)]
        columns = list(dict.fromkeys(names))
        costs = ["gradient variance", "gradient signal-to-noise", "step time", "steps"]
        yield from markdown_table(
            ["", *columns, *costs, "training seconds"],
            (
                [title, *(shown_quality(each).get(name, "") for name in columns), *costs_of(each)]
                for title, each in methods.items()
            ),
        )

    def _gradient_noise(self, runs: Mapping[str, ScoreRun]) -> dict[str, dict[str, Any]]:
        """Returns the variance of each run's gradients, at the first run's parameters."""
        first = next(iter(runs.values()))
        experiment = first.experiment
        drawn = {
            title: jax.jit(gradient_of(experiment, run.experiment.matching))
            for title, run in runs.items()
        }

        def drawn_at(title: str, times: TimeSampler) -> np.ndarray:
            return products(
                gradients(
                    drawn[title],
                    first.params,
                    first.source,
                    times,
                    experiment.sde,
                    batch_size=experiment.training.batch_size,
                    draws=self.draws,
                )
            )

        everywhere = {title: drawn_at(title, experiment.times) for title in runs}
        yardstick = next(iter(everywhere.values()))

        def noise_of(title: str) -> dict[str, Any]:
            own = everywhere[title]
            at = [
                estimate(times_variance, drawn_at(title, FixedTime(t=t)), yardstick)
                for t in self.times
            ]
            return {
                "signal_to_noise": of(estimate(signal_to_noise, yardstick, own)),
                "times_variance": of(estimate(times_variance, own, yardstick)),
                "times_variance_at": [
                    {"t": t, **of(found)} for t, found in zip(self.times, at, strict=True)
                ],
            }

        return {title: noise_of(title) for title in runs}


def of(found: Estimate) -> dict[str, Any]:
    """Converts an estimate for JSON."""
    return {"value": plain(found.value), "stderr": plain(found.stderr)}


def timed_in_turn(runs: Mapping[str, ScoreRun], rounds: int) -> dict[str, dict[str, Any]]:
    """Returns the seconds of a compiled update of each run, and their ratio to the first run's.

    Each is a median with its quartiles, of rounds in turn. All runs have the first run's batch.
    """
    first = next(iter(runs.values()))
    size = first.experiment.training.batch_size
    batch = next(first.source.stream(jax.random.key(0), TRAIN, size))

    def update_of(run: ScoreRun) -> Any:
        learner = run.experiment.learner(first.layout.shape)
        options = update_options(jax.default_backend())
        update = jax.jit(learner.update, compiler_options=options)
        state = learner.init(jax.random.key(0))
        return lambda: jax.block_until_ready(update(state, jax.random.key(0), batch))

    updates = {title: update_of(run) for title, run in runs.items()}
    for update in updates.values():
        update()
    seconds = np.asarray([[seconds_of(each) for each in updates.values()] for _ in range(rounds)])
    return {
        title: {"seconds": quartiles(own), "times": quartiles(own / seconds[:, 0])}
        for title, own in zip(runs, seconds.T, strict=True)
    }


def quartiles(values: np.ndarray) -> dict[str, float]:
    """Returns the median and the quartiles."""
    low, value, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"value": value, "low": low, "high": high}


def quality(run: Path) -> dict[str, Any]:
    """Returns the findings of a run's newest evaluation, and its report of the model."""
    kept = ("metric", "features", "value", "stderr")
    findings = [
        {name: finding[name] for name in kept}
        for finding in newest(run)["findings"]
        if finding["of"] == "run"
    ]
    report = run / "report.json"
    stored = json.loads(report.read_text())["result"]["results"] if report.is_file() else {}
    return {"findings": findings, "report": stored.get("model", {})}


def shown_quality(method: Results) -> dict[str, str]:
    """Formats the findings of the table, in the first network's features, and the report."""
    findings: Sequence[Mapping[str, Any]] = method["findings"]
    network = next((f["features"] for f in findings if f["features"]), None)
    shown = {
        WORDING[f["metric"]].title: with_error(f["value"], f["stderr"])
        for f in findings
        if f["metric"] in SHOWN_METRICS and f["features"] in (None, network)
    }
    return shown | {name: f"{value:.2g}" for name, value in method["report"].items()}


def costs_of(method: Results) -> list[str]:
    """Formats the numbers of gradients and times."""
    gradient, step, seconds = method["gradient"], method["step"]["times"], method["seconds"]
    signal, times = gradient["signal_to_noise"], gradient["times_variance"]
    return [
        f"× {with_error(times['value'], times['stderr'])}",
        with_error(signal["value"], signal["stderr"]),
        f"× {step['value']:.2f} ({step['low']:.2f} to {step['high']:.2f})",
        f"{method['steps']:,}",
        f"{seconds:,.0f}",
    ]
