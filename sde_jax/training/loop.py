"""The training loop, the same for every `Learner`."""

import dataclasses
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax.arrays import single_precision
from sde_jax.data import TRAIN, DataSource
from sde_jax.data.source import Batch
from sde_jax.reporting import report
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.compiled import Dispatched, Updates, held_out_loss
from sde_jax.training.devices import batch_sharding, data_mesh
from sde_jax.training.errors import NonFiniteError
from sde_jax.training.fingerprint import all_finite
from sde_jax.training.learner import Learner, TrainState
from sde_jax.training.metrics_log import MetricsLog
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.settings import Training
from sde_jax.training.signals import StopRequest
from sde_jax.training.start import Progress, run_keys, start
from sde_jax.training.timer import Timer

DISPATCHES_AHEAD = 2

Draw = Callable[[TrainState, Path], None]
"""Draws samples of a state into a PNG file. Every process calls it; the first one writes."""


class TrainResult(NamedTuple):
    """The result of a call of `train`."""

    state: TrainState
    """The last state, on the mesh."""

    step: int
    """Total number of updates made."""

    stopped: bool
    """True if a signal ended the run before its last step."""

    held_out_loss: float | None
    """Held-out loss of the last evaluation, if there was one."""

    seconds: float
    """Time that this call spent on training, evaluating, drawing and saving."""

    images_per_second: float
    """Rate of the updates alone, without compilation; 0 if there were too few."""


@single_precision()
def train(
    learner: Learner,
    source: DataSource,
    run: RunDirectory,
    training: Training,
    *,
    mesh: Mesh | None = None,
    progress: bool = True,
    draw: Draw | None = None,
) -> TrainResult:
    """Trains to ``training.steps``, starting at the run's newest readable checkpoint if any.

    A run that is killed and resumed ends with the same parameters as an uninterrupted one, on CPU
    bitwise. A finished run returns at once. SIGTERM and SIGINT end training after the current step
    with a checkpoint. With several processes a signal to any of them ends all after the same step,
    a few dispatches later.

    Args:
      learner: the model and its optimizer.
      source: the data; the split ``train`` is for training, ``test`` for evaluation.
      run: the folder of all output.
      training: the settings.
      mesh: the devices; default: all.
      progress: whether to show a progress bar on stderr.
      draw: draws samples every ``training.sample_every`` steps; does not affect the training.

    Raises:
      ValueError: if ``training`` does not fit the data or the devices, or requests pictures
        without ``draw``, or an update changes the types of the state.
      RunError: if another process trains in the run's folder.
      NonFiniteError: if a metric or the state is not finite; such a state is never saved.
      CheckpointError: if no checkpoint of the run can be read, or the last one cannot be written.
    """
    mesh = data_mesh() if mesh is None else mesh
    training.check_devices(mesh)
    training.check_data(source)
    training.check_drawing(draw is not None)
    keep, keep_best = training.keep_checkpoints, training.keep_best
    with (
        run.locked(),
        StopRequest() as stop,
        Checkpoints(run.checkpoints, keep=keep, keep_best=keep_best) as checkpoints,
    ):
        key, sharded = run_keys(training.seed).init, training.shard_parameters
        state, done = start(learner, checkpoints, mesh, key, sharded=sharded)
        if done.step >= training.steps:
            return TrainResult(state, done.step, False, done.held_out_loss, 0.0, 0.0)
        checkpoints.prepare_to_continue(done.step, run.unreadable)
        with (
            MetricsLog(run, done.step) as log,
            progress_bar(training.steps, done.step, progress) as bar,
        ):
            keys, steps = run_keys(training.seed), training.resolved_steps_per_call(mesh)
            batches = source.stream(
                keys.data,
                TRAIN,
                training.batch_size,
                start=done.step,
                sharding=batch_sharding(mesh),
            )
            loop = Loop(
                training=training,
                updates=Updates(learner, mesh, keys.update, state, steps),
                held_out=held_out_loss(learner, source, mesh, keys.evaluation, training),
                batches=batches,
                done=done,
                checkpoints=checkpoints,
                log=log,
                draw=None if draw is None else functools.partial(draw_picture, draw, run, log),
                bar=bar,
                stop=stop,
            )
            return loop.run(state)


def progress_bar(steps: int, done: int, shown: bool) -> tqdm:
    """Builds a bar with rate and time left on stderr, updated every 10 s if that is a file."""
    return tqdm(
        total=steps,
        initial=done,
        unit="step",
        disable=not shown or jax.process_index() > 0,
        dynamic_ncols=True,
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
    )


@dataclasses.dataclass(kw_only=True)
class Loop:
    """The steps of one call of `train`."""

    training: Training
    updates: Updates
    held_out: Callable[[TrainState], float]
    batches: Iterator[Batch]
    done: Progress
    checkpoints: Checkpoints
    log: MetricsLog
    draw: Callable[[int, TrainState], None] | None
    bar: tqdm
    stop: StopRequest
    agreed_to_stop: bool = False
    timer: Timer = dataclasses.field(default_factory=Timer)

    @property
    def stopping(self) -> bool:
        """True if no more updates are to be made; with several processes only once all agree."""
        return self.agreed_to_stop or (self.stop.requested and jax.process_count() == 1)

    def run(self, state: TrainState) -> TrainResult:
        """Updates ``state`` until the last step or a signal; logs, evaluates, draws and saves."""
        training, done = self.training, self.done
        started, seconds_before, saved = time.monotonic(), done.seconds, done.step
        while done.step < training.steps and not self.stopping:
            state = self.update(state)
            done.seconds = seconds_before + time.monotonic() - started
            if training.due(training.log_every, done.step):
                self.write_line()
            due = training.due(training.checkpoint_every, done.step)
            if training.due(training.eval_every, done.step):
                is_lowest = self.evaluate(state)
                due = due or (is_lowest and training.keep_best)
            if self.draw is not None and training.due(training.sample_every, done.step):
                self.draw(done.step, state)
            if due:
                self.save(state)
                saved = done.step
        if self.stopping:
            reason = self.stop.signal or "a signal to another process"
            report(f"{reason}: stopping at step {done.step}; a second one stops at once")
        if saved != done.step:
            self.save(state)
        self.checkpoints.wait()
        return TrainResult(
            state=state,
            step=done.step,
            stopped=done.step < training.steps,
            held_out_loss=done.held_out_loss,
            seconds=time.monotonic() - started,
            images_per_second=self.timer.overall() * training.batch_size,
        )

    def update(self, state: TrainState) -> TrainState:
        """Makes updates until something else is due or a signal arrives; collects their metrics.

        The host runs ahead of the device by a few dispatches, which limits the batches that wait
        there. Completed dispatches tell each process about signals to others, so that all stop
        after the same step.
        """
        step, until = self.done.step, self.training.next_stop(self.done.step)
        queue: list[Dispatched] = []
        self.timer.resume()
        while step < until and not self.stopping:
            wish = self.stop.requested
            state, dispatched = self.updates(state, self.batches, until - step, stop=wish)
            step += dispatched.steps
            queue.append(dispatched)
            self.timer.count(dispatched.steps, dispatched.metrics)
            if len(queue) > DISPATCHES_AHEAD:
                self.agreed_to_stop |= bool(queue[-1 - DISPATCHES_AHEAD].stop)
            self.bar.update(dispatched.steps)
        fetched = jax.device_get(queue)
        self.timer.pause()
        self.agreed_to_stop |= any(dispatched.stop for dispatched in fetched)
        for name in fetched[0].metrics if fetched else ():
            values = np.concatenate([dispatched.metrics[name] for dispatched in fetched]).tolist()
            self.done.unlogged.setdefault(name, []).extend(values)
        self.done.step = step
        self.check_finite(self.done.unlogged)
        return state

    def write_line(self) -> None:
        """Logs the mean of each metric since the previous line."""
        done = self.done
        means = {name: float(np.mean(values)) for name, values in done.unlogged.items()}
        rate = self.timer.since_last() * self.training.batch_size
        rates = {"images_per_second": rate} if rate else {}
        self.log.write(done.step, {**means, **rates, "seconds": done.seconds})
        losses = {name: f"{mean:.4g}" for name, mean in means.items() if "loss" in name}
        self.bar.set_postfix(losses, refresh=False)
        done.unlogged = {}

    def evaluate(self, state: TrainState) -> bool:
        """Logs the held-out loss; returns whether it is the lowest so far."""
        loss = self.held_out(state)
        done = self.done
        self.check_finite({"held_out_loss": [loss]})
        self.log.write(done.step, {"held_out_loss": loss})
        done.held_out_loss, done.held_out_step = loss, done.step
        is_lowest = done.lowest_loss is None or loss < done.lowest_loss
        if is_lowest:
            done.lowest_loss = loss
        return is_lowest

    def save(self, state: TrainState) -> None:
        """Starts to write a checkpoint, after the lines of the log up to this step."""
        if not all_finite(state):
            raise self.non_finite("the state is not finite", self.done.step)
        self.log.flush()
        self.checkpoints.save(self.done.step, state, dataclasses.asdict(self.done))

    def check_finite(self, values: Mapping[str, Sequence[float]]) -> None:
        """Raises NonFiniteError for the first step, of those up to this one, with a bad value."""
        rows = list(zip(*values.values(), strict=True))
        for step, row in enumerate(rows, start=self.done.step - len(rows) + 1):
            named = zip(values, row, strict=True)
            bad = [f"{name} is {value}" for name, value in named if not math.isfinite(value)]
            if bad:
                raise self.non_finite(" and ".join(bad), step)

    def non_finite(self, what: str, step: int) -> NonFiniteError:
        """Builds the error for step number ``step``, counted from 1."""
        self.checkpoints.settle()
        good = self.checkpoints.steps()
        last = f"is that of step {good[-1]}" if good else "does not exist"
        return NonFiniteError(
            f"{what} at step {step} (seed {self.training.seed}); the last good checkpoint, in "
            f"{self.checkpoints.directory}, {last}"
        )


def draw_picture(
    draw: Draw, run: RunDirectory, log: MetricsLog, step: int, state: TrainState
) -> None:
    """Draws ``pictures/samples-<step>.png`` of a run, also shown in TensorBoard.

    A picture that cannot be written, because the disk is full, is reported and skipped.
    """
    path = run.pictures / f"samples-{step}.png"
    try:
        if jax.process_index() == 0:
            run.pictures.mkdir(exist_ok=True)
        draw(state, path)
        log.show(step, "samples", path)
    except OSError as error:
        report(f"{path} cannot be written: {error.strerror}")
