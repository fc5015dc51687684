"""``sde-jax data statistics SOURCE``."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.arguments import DataDir, Switch, UsageError, check_counts, option
from sde_jax.command_line.output import checked_output
from sde_jax.data import TEST, TRAIN
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.named import spec_of
from sde_jax.data.preprocessing import Fit
from sde_jax.data.source import DataSource, DataSpec
from sde_jax.data.tfds import TfdsImages
from sde_jax.evaluation.features import FeatureNetwork, classifier, coordinates, inception
from sde_jax.evaluation.reference import cached_statistics, compute_reference
from sde_jax.interop.configurations import published_names
from sde_jax.interop.statistics_file import write_reference
from sde_jax.metrics import InceptionPreprocessing
from sde_jax.runs.catalogue import find, names
from sde_jax.runs.trained_run import stored_experiment
from sde_jax.training.processes import is_first, join_processes, raise_on_all
from sde_jax.training.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Computes the statistics of a data set that metrics need, under a feature network. They are
    cached; --out also writes them to a file, in which EDM and pytorch-fid find mu and sigma."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """An experiment, a published model, a run directory, a folder or a zip of pictures, or the name
    of a set of tensorflow_datasets."""
    split: str = TRAIN
    """train or test; of a set of tensorflow_datasets also one of its own, or a part of one."""
    count: Annotated[int | None, option("INT", "all")] = None
    """Examples, the first ones of the split."""
    features: Annotated[str, tyro.conf.arg(metavar="NAME|RUN")] = "inception"
    """inception: the published network's; coordinates: the data themselves; the run of a
    classifier: its last hidden layer."""
    preprocessing: Annotated[InceptionPreprocessing | None, option("NAME", "tensorflow")] = None
    """How images are brought to Inception's size: as TensorFlow 1, score_sde, pytorch-fid or
    clean-fid does it."""
    batch_size: int = 256
    """Examples at once; a result does not depend on it."""
    data_dir: DataDir = None
    image_size: Annotated[int | None, option("INT", "the experiment's, else their own")] = None
    """Side of the square images that are made of them."""
    fit: Annotated[Fit | None, option("NAME", "the experiment's, else crop")] = None
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""
    grey: Switch = False
    """Make them grey, by their luma."""
    out: Annotated[Path | None, option("FILE", "none is written")] = None
    """The .npz file to share, which must not exist."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        if self.preprocessing is not None and self.features != "inception":
            raise ValueError(f"`preprocessing` does not apply to features {self.features}.")


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
            return coordinates(source.shape)
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
