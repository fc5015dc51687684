"""Training of an experiment in a run directory."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from sde_jax import figures
from sde_jax.arrays import PyTree, single_precision
from sde_jax.data.source import DataSource
from sde_jax.recipes.named import Named
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.data_place import absolute, naming_option
from sde_jax.runs.snapshots import snapshots
from sde_jax.training.devices import data_mesh
from sde_jax.training.learner import Learner
from sde_jax.training.loop import Draw, TrainResult, train
from sde_jax.training.processes import is_first, raise_on_all
from sde_jax.training.run_directory import RunDirectory

CHANGEABLE = frozenset(
    {
        "file",
        "experiment.training.steps",
        "experiment.training.checkpoint_every",
        "experiment.training.sample_every",
        "experiment.training.steps_per_call",
        "experiment.training.accumulate",
        "experiment.training.shard_parameters",
        "experiment.network.rematerialize",
        "experiment.data.data_dir",
        "experiment.data.path",
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
    source, learner, draw = raise_on_all(lambda: prepare(named.experiment))
    named = with_absolute_paths(named)
    if resume:
        directory = RunDirectory.resume(
            workdir, named.config(), changeable=CHANGEABLE, current=in_current_format
        )
    else:
        directory = RunDirectory.create(workdir, named.config())
    result = train(learner, source, directory, named.experiment.training, draw=draw)
    if is_first():
        figures.curves(
            directory.read_metrics(),
            directory.pictures / "training.png",
            series={"loss": "training", "held_out_loss": "held out"},
        )
    return result


def with_absolute_paths(named: Named[Trainable]) -> Named[Trainable]:
    """Returns the experiment as its run stores it: a run finds its data from any folder."""
    experiment: Any = named.experiment
    data = absolute(experiment.data)
    return dataclasses.replace(named, experiment=dataclasses.replace(experiment, data=data))


def in_current_format(config: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the configuration of a run to the present format."""
    return Named.from_config(config).config()


class Prepared(NamedTuple):
    """Arguments of `sde_jax.training.loop.train`."""

    source: DataSource
    learner: Learner
    draw: Draw | None


def prepare(experiment: Trainable) -> Prepared:
    """Loads the data and checks experiment, data and devices against each other.

    Raises:
      ValueError: if they do not fit.
    """
    experiment.training.check_devices(data_mesh())
    with naming_option(experiment.data):
        source = experiment.data.load()
    experiment.check_data(source)
    learner, _ = learner_and_params(experiment, source.shape)
    draw = snapshots(experiment, source)
    experiment.training.check_drawing(draw is not None)
    return Prepared(source, learner, draw)


def count_parameters(experiment: Trainable) -> int:
    """Returns the number of parameters; needs no data where the spec states their shape.

    Raises:
      ValueError: if network, data and devices do not fit.
    """
    experiment.training.check_devices(data_mesh())
    with naming_option(experiment.data):
        layout = experiment.data.layout()
    _, params = learner_and_params(experiment, layout.shape)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def learner_and_params(experiment: Trainable, shape: tuple[int, ...]) -> tuple[Learner, PyTree]:
    """Returns the learner of examples of ``shape``, and the shapes of its parameters.

    Raises:
      ValueError: if it cannot learn them; for images that are not square, the message names the
        options that make them so.
    """
    try:
        learner = experiment.learner(shape)
        return learner, jax.eval_shape(learner.init, jax.random.key(0)).params
    except ValueError as error:
        if hasattr(experiment.data, "image_size") and shape[0] != shape[1]:
            raise ValueError(
                f"{error}. The images are {shape[0]}x{shape[1]}: --data.image-size makes them "
                "square, and --data.fit says how: crop, pad or stretch."
            ) from error
        raise
