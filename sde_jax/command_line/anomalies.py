"""``sde-jax anomalies RUN``."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.command_line.options.anomalies import Anomalies
from sde_jax.command_line.output import file_name, output_file
from sde_jax.data import TEST, ArraySource, ImageScaling
from sde_jax.evaluation import anomaly_figure
from sde_jax.evaluation.anomaly_sets import levels_of
from sde_jax.evaluation.wording import WORDING
from sde_jax.memory import check_fits
from sde_jax.metrics import roc_area
from sde_jax.recipes.interfaces import Density, Measured
from sde_jax.runs.measurement import concatenate, measure, plain, summarize
from sde_jax.runs.trained_run import GenerativeRun, open_generative
from sde_jax.training.processes import is_first, join_processes, raise_on_all


def main(options: Anomalies) -> dict[str, Any]:
    """Runs the command and returns its results."""
    join_processes()
    return execute(open_generative(options.run, options.data), options)


def execute(run: GenerativeRun, options: Anomalies) -> dict[str, Any]:
    """Measures all sets, draws the picture, and returns the results."""
    density = run.density(run.experiment.likelihood)
    if density is None:
        raise UsageError(f"a {run.experiment.kind} has no likelihood.")
    out = raise_on_all(lambda: output_file(options.out, usual_path(run, options)))
    images = raise_on_all(lambda: images_of(run, options))
    started = time.perf_counter()
    measured = measure_all(run, density, images, options)
    seconds = time.perf_counter() - started
    own, *others = (np.asarray(of.bits_per_dim[of.converged]) for of in measured)
    drawn = len(own) > 0 and all(map(len, others))
    if drawn and is_first():
        unit = WORDING[run.experiment.bits].title.lower()
        title = f"{run.named.name}, step {run.step:,}"
        sets = dict(zip(options.sets, others, strict=True))
        anomaly_figure.draw(own, sets, out, title=title, unit=unit)
    first, *rest = (summarize(of, run.layout) for of in measured)
    found = {
        name: summary | area(other, own)
        for name, summary, other in zip(options.sets, rest, others, strict=True)
    }
    return {
        "held_out": first,
        "against": found,
        "seconds": round(seconds, 2),
        "out": str(out) if drawn else None,
        "step": run.step,
        "failed": [
            f"{example} of {name}"
            for name, summary in [("held-out images", first), *found.items()]
            for example in summary["failed"]
        ],
    }


def images_of(run: GenerativeRun, options: Anomalies) -> list[np.ndarray]:
    """Returns the grey levels of the held-out images and of each other set.

    Raises:
      UsageError: if the run's data are no images, none is held out, or there is no such other set.
    """
    shape, scaling = run.layout
    if not isinstance(scaling, ImageScaling):
        raise UsageError("the run's data are points: anomalies are asked for among images.")
    if TEST not in run.source.sizes:
        raise UsageError("none of the run's data is held out: they have no split test.")
    needed = options.count * math.prod(shape) * len(options.sets)
    check_fits(needed, f"--count {options.count} images of each set")
    batches = run.source.batches(
        jax.random.key(options.seed), TEST, options.batch_size, count=options.count
    )
    own = [np.asarray(scaling.to_levels(batch.x)).astype(np.uint8) for batch in batches]
    others = [
        levels_of(name, options.data_dir, shape, scaling, options.count, options.seed)
        for name in options.sets
    ]
    return [np.concatenate(own), *others]


def measure_all(
    run: GenerativeRun, density: Density, images: Sequence[np.ndarray], options: Anomalies
) -> list[Measured]:
    """Returns the likelihoods of each set. One program, compiled once, measures all sets.

    The held-out images come first, so that theirs are those of `likelihood`.
    """
    scaling = run.layout.scaling
    assert isinstance(scaling, ImageScaling)
    measured = concatenate(
        measure(
            density,
            run.params,
            ArraySource({TEST: np.concatenate(images)}, scaling=scaling),
            TEST,
            key=jax.random.key(options.seed),
            count=None,
            batch_size=options.batch_size,
        )
    )
    ends = np.cumsum([len(of_set) for of_set in images])[:-1]
    columns = {
        name: np.split(column, ends)
        for name, column in measured._asdict().items()
        if column is not None
    }
    rows = zip(*columns.values(), strict=True)
    return [Measured(**dict(zip(columns, of_set, strict=True))) for of_set in rows]


def area(other: np.ndarray, own: np.ndarray) -> dict[str, float | None]:
    """Returns the area under the ROC curve of bits per dimension, None where all solves of a set
    failed."""
    if not (len(other) and len(own)):
        return {"auc": None, "auc_stderr": None}
    found = roc_area(other, own)
    return {"auc": found.value, "auc_stderr": plain(found.stderr)}


def usual_path(run: GenerativeRun, options: Anomalies) -> Path:
    """Returns the file in RUN/anomalies whose name identifies the results."""
    sets = file_name("-".join(options.sets))
    name = f"{sets}-at{run.step}-seed{options.seed}-count{options.count}.png"
    return run.directory.path / "anomalies" / name
