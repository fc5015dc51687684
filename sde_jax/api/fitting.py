"""Training from Python."""

import math
import time
from pathlib import Path

import jax
import numpy as np

from sde_jax.api.default_experiments import (
    FEW_STEPS,
    LEAST_STEPS,
    of_images,
    of_numbers,
    with_steps,
)
from sde_jax.api.given_array import given_array
from sde_jax.api.opening import open_run
from sde_jax.api.run import Run
from sde_jax.arrays import single_precision
from sde_jax.data import TRAIN, DataSource, DataSpec, ImageScaling, ScalingName
from sde_jax.recipes import Named, ScoreExperiment, Trainable
from sde_jax.reporting import report
from sde_jax.runs.trained_run import stored_experiment
from sde_jax.runs.training import train_experiment
from sde_jax.training import (
    RunDirectory,
    batch_sharding,
    data_mesh,
    replicate,
    run_keys,
)
from sde_jax.training.compiled import Updates

NAME = "fit"
TIMED_CALLS = 5
UPDATES_SHARE = 1.15
"""Time of a run over that of its updates alone: evaluations and checkpoints take the rest."""


def train(
    experiment: Trainable, workdir: str | Path, *, name: str = "experiment", resume: bool = True
) -> Run:
    """Trains an experiment in a run directory, as ``sde-jax train`` does, and opens the run.

    SIGTERM and the first Ctrl-C end training early with a checkpoint. The next call continues.

    Args:
      experiment: the experiment, such as a `ScoreExperiment`.
      workdir: the run directory.
      name: the name of the experiment in the run's configuration.
      resume: continues the run that is there, or opens it if it is finished; False refuses one.

    Returns:
      The run.

    Raises:
      ValueError: if experiment, data and devices do not fit.
      RunError: if the directory holds another run, or another process trains there.
      NonFiniteError: if training diverges.
    """
    return _train(Named(name, experiment), Path(workdir), resume=resume)


@single_precision()
def fit(
    data: np.ndarray,
    condition: np.ndarray | None = None,
    *,
    workdir: str | Path,
    steps: int | None = None,
    minutes: float | None = None,
    scaling: ScalingName = "standardize",
) -> Run:
    """Trains a score model on an array, and opens the run.

    The array is copied into the run directory, and a random tenth of it, at most 10,000 examples,
    is held out. Called again for the same directory and data, it continues the run, or opens the
    finished one; then ``steps`` and ``minutes`` have no effect.

    Args:
      data: vectors ``[count, dimensions]``, or series, images or volumes ``[count, *sizes,
        channels]`` with one to three sizes, the longest at least 8, of any real numbers. Values of
        integer type are dequantized; uint8 with two sizes and 1 or 3 channels are 8-bit images.
      condition: what the examples depend on: vectors ``[count, numbers]`` of any real numbers, or
        class labels ``[count]``, integers from 0. The density of the run is then conditional.
      workdir: the run directory, which the commands of ``sde-jax`` take as well.
      steps: number of updates; by default what the number of examples suits.
      minutes: the time that the call takes on a free machine, compilation included, instead of
        ``steps``. At least 50 updates are made, however long they take, and of other data than
        images no more than the number of examples suits.
      scaling: scaling of each channel or column, measured on the training split: ``standardize``,
        ``range``, ``log`` for positive data, or ``none``; see `NumberFile`.

    Returns:
      The run. Its densities are those of the data in their own unit.

    Raises:
      ValueError: if data or conditions are not as described, some are missing or infinite, a
        column is constant, or the directory holds a run on others.
      RunError: if the directory holds other files, or another process trains there.
      NonFiniteError: if training diverges.
    """
    started, workdir = time.perf_counter(), Path(workdir)
    condition = None if condition is None else np.asarray(condition)
    given = given_array(np.asarray(data), condition, workdir, scaling)
    _check(steps, minutes)
    if (workdir / "config.json").is_file():
        named = stored_experiment(RunDirectory.open(workdir))
        if not given.is_data_of(named.experiment):
            raise ValueError(
                f"{workdir} holds a run on other data: give another `workdir`, or open that run "
                "with `open_run`."
            )
    else:
        RunDirectory.check_free(workdir)
        experiment = _default_experiment(given.spec, given.source.sizes[TRAIN])
        if minutes is not None:
            steps = _steps_until(started + 60 * minutes, experiment, given.source)
        if steps is not None:
            experiment = with_steps(experiment, steps)
        named = Named(NAME, experiment)
        RunDirectory.create(workdir, named.config())
    given.write()
    return _train(named, workdir, resume=True)


def _train(named: Named[Trainable], workdir: Path, *, resume: bool) -> Run:
    train_experiment(named, workdir, resume=resume)
    return open_run(workdir)


def _check(steps: int | None, minutes: float | None) -> None:
    """Raises ValueError where `fit` cannot work."""
    if steps is not None and minutes is not None:
        raise ValueError("`steps` and `minutes` exclude each other: give one.")
    if steps is not None and steps < 1:
        raise ValueError(f"`steps` must be at least 1: got steps={steps}.")
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"`minutes` must be positive and finite: got minutes={minutes}.")
    if jax.process_count() > 1:
        raise ValueError("`fit` works in one process, on all of its devices: use `train` instead.")


def _default_experiment(data: DataSpec, train_count: int) -> ScoreExperiment:
    """Returns an experiment that suits the data."""
    shape, scaling = data.layout()
    suits = of_images if isinstance(scaling, ImageScaling) else of_numbers
    return suits(data, shape, train_count).with_data(data)


def _steps_until(deadline: float, experiment: ScoreExperiment, source: DataSource) -> int:
    """Returns the number of updates that end before the deadline.

    They are compiled a second time for the run, since their number is a part of the program.
    """
    compiling, updating = _seconds(experiment, source)
    left = deadline - time.perf_counter() - compiling
    steps = max(int(left / (UPDATES_SHARE * updating)), LEAST_STEPS)
    if steps < FEW_STEPS:
        report(f"only {steps} updates end in time: the samples will be poor. Give more `minutes`.")
    return min(steps, experiment.training.steps) if experiment.training.keep_best else steps


def _seconds(experiment: ScoreExperiment, source: DataSource) -> tuple[float, float]:
    """Measures the seconds of the first update, with compilation, and of each further one."""
    training, mesh = experiment.training, data_mesh()
    keys, learner = run_keys(training.seed), experiment.learner(source.shape)
    state = replicate(learner.init(keys.init), mesh)
    per_call = training.resolved_steps_per_call(mesh)
    updates = Updates(learner, mesh, keys.update, state, per_call)
    batches = source.stream(keys.data, TRAIN, training.batch_size, sharding=batch_sharding(mesh))
    times = [time.perf_counter()]
    for _ in range(1 + TIMED_CALLS):
        state, _ = updates(state, batches, per_call)
        jax.block_until_ready(state)
        times.append(time.perf_counter())
    return times[1] - times[0], (times[-1] - times[1]) / (TIMED_CALLS * per_call)
