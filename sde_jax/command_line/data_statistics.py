"""``sde-jax data statistics SOURCE``."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from sde_jax.arguments import UsageError
from sde_jax.command_line.options.data_statistics import Statistics
from sde_jax.command_line.output import checked_output
from sde_jax.data import TEST, TRAIN
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.named import spec_of
from sde_jax.data.shards import INDEX, Shards
from sde_jax.data.source import DataSource, DataSpec
from sde_jax.data.tfds import TfdsImages
from sde_jax.evaluation.features import FeatureNetwork, classifier, coordinates, inception
from sde_jax.evaluation.reference import cached_statistics, compute_reference
from sde_jax.interop.configurations import published_names
from sde_jax.interop.statistics_file import write_reference
from sde_jax.runs.catalogue import find
from sde_jax.runs.definition_names import names
from sde_jax.runs.trained_run import stored_experiment
from sde_jax.training.processes import is_first, join_processes, raise_on_all
from sde_jax.training.run_directory import RunDirectory


def main(options: Statistics) -> dict[str, Any]:
    """Runs the command and returns its results."""
    join_processes()
    out = raise_on_all(lambda: options.out and checked_output(options.out, ".npz"))
    data, split = data_of(options)
    source = loaded(data, options)
    network = network_of(options, source)
    started = time.perf_counter()
    found = compute_reference(
        network,
        data,
        split,
        count=options.count,
        source=source,
        batch_size=options.batch_size,
    )
    seconds = time.perf_counter() - started
    if out is not None:
        raise_on_all(lambda: write_reference(out, found) if is_first() else None)
    return {
        **found.identity,
        "cached": str(cached_statistics(found.identity, data, split)),
        "out": None if out is None else str(out),
        "seconds": round(seconds, 2),
    }


def network_of(options: Statistics, source: DataSource) -> FeatureNetwork:
    """Returns the feature network of ``--features``."""
    match options.features:
        case "coordinates":
            return coordinates(source.shape, source.scaling)
        case "inception":
            return inception(options.preprocessing or "tensorflow")
    return classifier(Path(options.features))


def data_of(options: Statistics) -> tuple[DataSpec, str]:
    """Returns the data and the name of the split.

    Raises:
      UsageError: if an option does not apply to them.
    """
    asked = {"data_dir": options.data_dir, "image_size": options.image_size, "fit": options.fit}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    given |= {"grey": True} if options.grey else {}
    data: Any
    if (Path(options.source) / "config.json").is_file():
        data = stored_experiment(RunDirectory.open(Path(options.source))).experiment.data
    elif options.source in (*names(), *published_names()):
        data = find(options.source).experiment.data
    elif (Path(options.source) / INDEX).is_file():
        data = Shards(path=options.source)
    else:
        data = spec_of(options.source, options.data_dir, {"fit": "crop"})
    for name in given:
        if name not in (field.name for field in dataclasses.fields(data)):
            option_name = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option_name} does not apply to the data of {options.source}.")
    data = dataclasses.replace(data, **given)
    if isinstance(data, TfdsImages) and options.split not in (TRAIN, TEST):
        return dataclasses.replace(data, test_split=options.split), TEST
    return data, options.split


def loaded(data: DataSpec, options: Statistics) -> DataSource:
    """Loads the data.

    Raises:
      UsageError: if the source is nothing that is there.
    """
    try:
        return data.load()
    except DataNotFoundError as error:
        if isinstance(data, TfdsImages) and data.name == options.source:
            raise UsageError(
                f"{options.source} is no experiment, run, folder or zip, and as a prepared set: "
                f"{error}"
            ) from None
        raise
