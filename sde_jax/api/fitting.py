"""Training from Python."""

import dataclasses
import math
import time
from pathlib import Path

import jax
import numpy as np

from sde_jax.api.default_experiments import LEAST_STEPS, most_steps, of_images, of_numbers
from sde_jax.api.given_array import given_array
from sde_jax.api.run import Run, open_run
from sde_jax.arrays import single_precision
from sde_jax.data import TRAIN, DataSource, DataSpec, ImageScaling, ScalingName
from sde_jax.recipes import Named, ScoreExperiment, Trainable
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
    *,
    workdir: str | Path,
    minutes: float = 3.0,
    scaling: ScalingName = "standardize",
) -> Run:
    """Trains a score model on an array for about so many minutes, and opens the run.

    The array is copied into the run directory, and a random tenth of it, at most 10,000 examples,
    is held out. Called again for the same directory and data, it continues the run, or opens the
    finished one; then ``minutes`` has no effect.

    Args:
      data: vectors ``[count, dimensions]``, or series, images or volumes ``[count, *sizes,
        channels]`` with one to three sizes, the longest at least 8, of any real numbers. Values of
        integer type are dequantized; uint8 with two sizes and 1 or 3 channels are 8-bit images.
      workdir: the run directory, which the commands of ``sde-jax`` take as well.
      minutes: the time that the call takes on a free machine, compilation included. At least 50
        updates are made, however long they take, and at most 2,000 epochs of other data
        than images.
      scaling: scaling of each channel or column, measured on the training split: ``standardize``,
        ``range``, ``log`` for positive data, or ``none``; see `NumberFile`.

    Returns:
      The run. Its densities are those of the data in their own unit.

    Raises:
      ValueError: if the data are not as described, some are missing or infinite, a column is
        constant, or the directory holds a run on others.
      RunError: if the directory holds other files, or another process trains there.
      NonFiniteError: if training diverges.
    """
    started, workdir = time.perf_counter(), Path(workdir)
    given = given_array(np.asarray(data), workdir, scaling)
    _check(minutes)
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
        experiment = _sized(experiment, given.source, started + 60 * minutes)
        named = Named(NAME, experiment)
        RunDirectory.create(workdir, named.config())
    if not Path(given.spec.path).is_file():
        given.write()
    return _train(named, workdir, resume=True)


def _train(named: Named[Trainable], workdir: Path, *, resume: bool) -> Run:
    train_experiment(named, workdir, resume=resume)
    return open_run(workdir)


def _check(minutes: float) -> None:
    """Raises ValueError where `fit` cannot work."""
    if not 0 < minutes < math.inf:
        raise ValueError(f"`minutes` must be positive and finite: got minutes={minutes}.")
    if jax.process_count() > 1:
        raise ValueError("`fit` works in one process, on all of its devices: use `train` instead.")


def _default_experiment(data: DataSpec, train_count: int) -> ScoreExperiment:
    """Returns an experiment that suits the data."""
    shape, scaling = data.layout()
    if isinstance(scaling, ImageScaling):
        return of_images(data, shape, train_count)
    return of_numbers(data, shape, train_count)


def _sized(experiment: ScoreExperiment, source: DataSource, deadline: float) -> ScoreExperiment:
    """Returns the experiment with as many updates as end before the deadline.

    They are compiled a second time for the run, since their number is a part of the program.
    """
    compiling, updating = _seconds(experiment, source)
    left = deadline - time.perf_counter() - compiling
    steps = max(int(left / (UPDATES_SHARE * updating)), LEAST_STEPS)
    if experiment.training.keep_best:
        steps = min(steps, most_steps(experiment, source.sizes[TRAIN]))
    every, in_a_minute = max(steps // 10, 1), max(int(60 / updating), 1)
    training = dataclasses.replace(
        experiment.training,
        steps=steps,
        eval_every=every if experiment.training.keep_best else 2 * every,
        log_every=min(every, 50),
        checkpoint_every=min(2 * every, in_a_minute),
    )
    return dataclasses.replace(experiment, training=training)


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
