"""Training from Python."""

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from sde_jax.api.run import Run, open_run
from sde_jax.arrays import single_precision
from sde_jax.data import TRAIN, ArrayFile, ArraySource, DataSource, held_out_splits
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes import (
    EvaluationSettings,
    LikelihoodSettings,
    Named,
    SamplerSettings,
    ScoreExperiment,
    Trainable,
)
from sde_jax.runs.trained_run import stored_experiment
from sde_jax.runs.training import train_experiment
from sde_jax.sde import VP
from sde_jax.training import (
    Adam,
    RunDirectory,
    Training,
    batch_sharding,
    data_mesh,
    replicate,
    run_keys,
)
from sde_jax.training.compiled import Updates

NAME = "fit"
LEAST_IMAGES = 20
LEAST_STEPS = 50
TIMED_CALLS = 5
SMALL_SIDE = 16
MOST_COORDINATES = 1024
"""Dimensions up to which an evaluation compares images by their pixels."""

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
def fit(images: np.ndarray, *, workdir: str | Path, minutes: float = 3.0) -> Run:
    """Trains a score model on images for about so many minutes, and opens the run.

    The images are copied into the run directory, and a random tenth of them is held out. Called
    again for the same directory and images, it continues the run, or opens the finished one; then
    ``minutes`` has no effect. Labels are not used.

    Args:
      images: uint8 ``[count, side, side, channels]``, with 1 or 3 channels; the side is a multiple
        of 4 and at least 8.
      workdir: the run directory, which the commands of ``sde-jax`` take as well.
      minutes: the time that the call takes on a free machine, compilation included. At least 50
        updates are made, however long they take.

    Returns:
      The run.

    Raises:
      ValueError: if the images are not as described, or the directory holds a run on others.
      RunError: if the directory holds other files, or another process trains there.
      NonFiniteError: if training diverges.
    """
    started, images, workdir = time.perf_counter(), np.asarray(images), Path(workdir)
    _check(images, minutes)
    splits = held_out_splits(images)
    data = ArrayFile.of(splits, workdir / "data.npz")
    if (workdir / "config.json").is_file():
        named = stored_experiment(RunDirectory.open(workdir))
        if getattr(named.experiment.data, "sha256", None) != data.sha256:
            raise ValueError(
                f"{workdir} holds a run on other data: give another `workdir`, or open that run "
                "with `open_run`."
            )
    else:
        RunDirectory.check_free(workdir)
        experiment = _default_experiment(data, len(splits[TRAIN]))
        experiment = _sized(experiment, splits, started + 60 * minutes)
        named = Named(NAME, experiment)
        RunDirectory.create(workdir, named.config())
    if not (workdir / "data.npz").is_file():
        data.write(splits)
    return _train(named, workdir, resume=True)


def _train(named: Named[Trainable], workdir: Path, *, resume: bool) -> Run:
    train_experiment(named, workdir, resume=resume)
    return open_run(workdir)


def _check(images: np.ndarray, minutes: float) -> None:
    """Raises ValueError where `fit` cannot work with the images."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            "`images` must be uint8 [count, side, side, channels] with 1 or 3 channels: got "
            f"{images.dtype} {list(images.shape)}."
        )
    count, height, width, _ = images.shape
    if height != width or height % 4 or height < 8:
        raise ValueError(
            "`images` must be square, with a side of at least 8 that is a multiple of 4: got "
            f"{height}x{width}. Pad or crop them."
        )
    if count < LEAST_IMAGES:
        raise ValueError(f"`images` must be at least {LEAST_IMAGES}: got {count}.")
    if not 0 < minutes < math.inf:
        raise ValueError(f"`minutes` must be positive and finite: got minutes={minutes}.")
    if jax.process_count() > 1:
        raise ValueError("`fit` works in one process, on all of its devices: use `train` instead.")


def _default_experiment(data: ArrayFile, train_count: int) -> ScoreExperiment:
    """Returns an experiment that suits images of this size, of `LEAST_STEPS` updates."""
    side, devices = data.shape[0], data_mesh().size
    small = side <= SMALL_SIDE
    sampling = SamplerSettings(sampler="unipc", steps=20)
    by_pixels = math.prod(data.shape) <= MOST_COORDINATES
    return ScoreExperiment(
        data=data,
        sde=VP(),
        network=NCSNppSpec(
            channels=24 if small else 32,
            multipliers=(1, 2) if small else (1, 2, 2),
            blocks_per_level=1,
            attention_resolutions=(side // 2 if small else side // 4,),
            dropout=0.0,
        ),
        optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
        ema_decay=0.995,
        training=Training(
            steps=LEAST_STEPS,
            batch_size=max(min(128, train_count) // devices, 1) * devices,
            eval_examples=512,
        ),
        sampling=sampling,
        likelihood=LikelihoodSettings(t_min=1e-3, tolerance=1e-4),
        evaluation=EvaluationSettings(
            count=2000,
            likelihood_count=512,
            features=("coordinates",) if by_pixels else ("inception",),
            sampling=sampling,
        ),
    )


def _sized(
    experiment: ScoreExperiment, splits: Mapping[str, np.ndarray], deadline: float
) -> ScoreExperiment:
    """Returns the experiment with as many updates as end before the deadline.

    They are compiled a second time for the run, since their number is a part of the program.
    """
    compiling, updating = _seconds(experiment, ArraySource(splits))
    left = deadline - time.perf_counter() - compiling
    steps = max(int(left / (UPDATES_SHARE * updating)), LEAST_STEPS)
    every, in_a_minute = max(steps // 10, 1), max(int(60 / updating), 1)
    training = dataclasses.replace(
        experiment.training,
        steps=steps,
        eval_every=2 * every,
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
