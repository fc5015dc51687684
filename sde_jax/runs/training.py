"""Training of an experiment in a run directory."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from sde_jax.arrays import single_precision
from sde_jax.data.source import DataSource
from sde_jax.memory import check_fits, device_bytes, size_of
from sde_jax.recipes.effects import inspect, late_settings
from sde_jax.recipes.named import Named
from sde_jax.recipes.trainable import Trainable
from sde_jax.reporting import report
from sde_jax.runs.data_place import absolute, naming_option
from sde_jax.runs.snapshots import snapshots
from sde_jax.runs.teaching import learner_of, with_run_path
from sde_jax.training.devices import data_mesh
from sde_jax.training.learner import Learner, TrainState
from sde_jax.training.loop import Draw, TrainResult, train
from sde_jax.training.processes import is_first, raise_on_all
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.settings import Training

CHANGEABLE = frozenset(
    {
        "file",
        "experiment.teacher",
        "experiment.training.steps",
        "experiment.training.checkpoint_every",
        "experiment.training.sample_every",
        "experiment.training.steps_per_call",
        "experiment.training.accumulate",
        "experiment.training.shard_parameters",
        "experiment.network.rematerialize",
        "experiment.data.data_dir",
        "experiment.data.path",
        "experiment.data.test_path",
        "experiment.data.condition_path",
        "experiment.data.keep",
        "experiment.data.storage.keep",
        "experiment.data.storage.folder",
        "experiment.data.storage.workers",
        "experiment.sampling",
        "experiment.likelihood",
        "experiment.evaluation",
    }
)
"""Fields that may differ when a run is continued, with everything in them. No configuration holds
the number of devices."""


@single_precision()
def train_experiment(named: Named[Trainable], workdir: Path, *, resume: bool) -> TrainResult:
    """Trains the experiment in ``workdir`` and draws its training curve."""
    is_new = not (resume and (workdir / "config.json").is_file())
    named = raise_on_all(lambda: with_measured_data(with_absolute_paths(named, workdir)))
    prepared = raise_on_all(lambda: prepare(named.experiment, is_new=is_new))
    source, learner, draw, padding = prepared
    if resume:
        directory = RunDirectory.resume(
            workdir, named.config(), changeable=CHANGEABLE, current=in_current_format
        )
    else:
        directory = RunDirectory.create(workdir, named.config())
    for line in late_settings(named.experiment) if is_new else ():
        report(f"warning: {line}")
    for line in padding:
        report(line)
    result = train(learner, source, directory, named.experiment.training, draw=draw)
    if is_first():
        from sde_jax import figures  # Its libraries are not needed before.

        figures.curves(
            directory.read_metrics(),
            directory.pictures / "training.png",
            series={"loss": "training", "held_out_loss": "held out"},
        )
    return result


def with_absolute_paths(named: Named[Trainable], workdir: Path) -> Named[Trainable]:
    """Returns the experiment as its run stores it: it finds its data and the run that it learns
    from, which may lie beside ``workdir``, from any folder."""
    experiment: Any = with_run_path(named.experiment, workdir)
    data = absolute(experiment.data)
    return dataclasses.replace(named, experiment=dataclasses.replace(experiment, data=data))


def with_measured_data(named: Named[Trainable]) -> Named[Trainable]:
    """Returns the experiment as its run stores it: the run opens without the data."""
    experiment: Any = named.experiment
    with naming_option(experiment.data):
        data = experiment.data.measure()
    return dataclasses.replace(named, experiment=experiment.with_data(data))


def in_current_format(config: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the configuration of a run to the present format."""
    return Named.from_config(config).config()


class Prepared(NamedTuple):
    """Arguments of `sde_jax.training.loop.train`."""

    source: DataSource
    learner: Learner
    draw: Draw | None
    padding: list[str]
    """A line for each size that the network pads inside."""


def prepare(experiment: Trainable, *, is_new: bool = True) -> Prepared:
    """Loads the data and checks experiment, data and devices against each other.

    A run that is not new may have settings without effect, from before they were refused.

    Raises:
      ValueError: if they do not fit.
      UsageError: if the run that it learns from does not fit, or there is none.
    """
    experiment.training.check_devices(data_mesh())
    with naming_option(experiment.data):
        source = experiment.data.load()
    experiment.check_data(source)
    learner = learner_of(experiment, source)
    inspected = inspect(experiment.learner(source.shape), check=is_new)
    check_memory(experiment.training, inspected.state, source.shape)
    draw = snapshots(experiment, source)
    experiment.training.check_drawing(draw is not None)
    return Prepared(source, learner, draw, inspected.padding)


def check_memory(training: Training, state: TrainState, shape: tuple[int, ...]) -> None:
    """Raises ValueError if the devices cannot hold the state or a batch of examples."""
    devices = data_mesh().size
    there = device_bytes(devices if training.shard_parameters else 1)
    check_fits(size_of(state), "the parameters of `network` and their averages", there)
    batch = 4 * training.batch_size * max(training.steps_per_call, 1) * math.prod(shape)
    what = f"batches of `batch_size`={training.batch_size:,}"
    check_fits(batch, what, device_bytes(devices))


def summary(experiment: Trainable) -> dict[str, Any]:
    """Returns the number of parameters and, if the network pads examples, to which sizes.

    Needs no data where the spec states their shape.

    Raises:
      ValueError: if network, data and devices do not fit.
    """
    experiment.training.check_devices(data_mesh())
    with naming_option(experiment.data):
        experiment = experiment.with_data(experiment.data.measure())
        layout = experiment.data.layout()
    state, lines = inspect(experiment.learner(layout.shape))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    return {"parameters": count, **({"padding": lines} if lines else {})}
