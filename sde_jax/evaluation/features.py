"""Feature networks of metrics, and the features of examples."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from sde_jax.arrays import Array, Float, PyTree
from sde_jax.data import ChannelScaling, Scaling
from sde_jax.interop import load_inception, weights_sha256
from sde_jax.metrics import InceptionFeatures, InceptionPreprocessing
from sde_jax.recipes.classification import Classification
from sde_jax.runs.generation import whole_batches
from sde_jax.runs.trained_run import TrainedRun, open_run_of
from sde_jax.training import compiled_on_each_device, data_mesh, is_first, shard_batch

PRECISION = "highest"
"""Precision of the classifier's products."""

Data = Float[Array | np.ndarray, "batch *shape"]


class Extracted(NamedTuple):
    """Outputs of a feature network for examples."""

    features: Float[Array | np.ndarray, "batch dimension"]
    logits: Float[Array | np.ndarray, "batch classes"] | None
    """Logits of the network's classes; None if it does not classify."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A map from data in their own unit (`Scaling.to_unit`) to features."""

    name: str
    """coordinates, classifier or inception."""
    identity: Mapping[str, str]
    """Everything the features depend on: hash of the weights, preprocessing, precision."""
    dimension: int
    params: PyTree
    extract: Callable[[PyTree, Data], Extracted]
    """Computes the outputs from parameters and data; not compiled."""


def coordinates(shape: tuple[int, ...], scaling: Scaling | None = None) -> FeatureNetwork:
    """Returns the network whose features are the data, for points and small images.

    Channels that have a measured scaling are compared in model coordinates: their own units differ.
    """
    measured = scaling if isinstance(scaling, ChannelScaling) else None

    def extract(params: PyTree, data: Data) -> Extracted:
        if measured is not None:
            last = (*[1] * (data.ndim - 1), -1)
            centers, widths = jnp.array([measured.centers, measured.widths])
            data = jnp.log(data) if measured.log else data
            data = (data - centers.reshape(last)) / widths.reshape(last)
        return Extracted(data.reshape(len(data), -1), None)

    identity: dict[str, str] = {} if measured is None else {"scaling": repr(measured)}
    return FeatureNetwork("coordinates", identity, math.prod(shape), {}, extract)


def inception(preprocessing: InceptionPreprocessing = "tensorflow") -> FeatureNetwork:
    """Returns the published Inception: its last features and the logits of the Inception Score.

    Raises:
      CheckpointFileError: if its weights are not in the cache; the message says how to get them.
    """
    params = load_inception()
    network = InceptionFeatures(preprocessing=preprocessing)

    def extract(params: PyTree, data: Data) -> Extracted:
        outputs = network(params, jnp.rint(255 * data))
        return Extracted(outputs["2048"], outputs["logits_unbiased"])

    identity = {
        "weights": weights_sha256(params),
        "preprocessing": preprocessing,
        "precision": str(network.precision),
    }
    return FeatureNetwork("inception", identity, 2048, params, extract)


def classifier(path: Path) -> FeatureNetwork:
    """Returns the trained classifier of a run: its last hidden layer and its logits.

    Raises:
      WrongKindError: if the run is not that of a classifier.
      NotARunError: as `open_run_of`.
    """
    return of_classifier(open_run_of(Classification, path))


def of_classifier(run: TrainedRun[Classification]) -> FeatureNetwork:
    """Returns the network of an open run; it raises ValueError for examples of another shape."""
    spec, shape, params = run.experiment.network, run.layout.shape, run.state.ema_params
    network = dataclasses.replace(spec.build(), precision=PRECISION)

    def extract(params: PyTree, data: Data) -> Extracted:
        if data.shape[1:] != shape:
            raise ValueError(
                f"the classifier {run.named.name} of {run.directory.path} takes examples of shape "
                f"{shape}: got {data.shape[1:]}."
            )
        return Extracted(*network.apply({"params": params}, data))

    identity = {"weights": weights_sha256(params), "precision": PRECISION}
    return FeatureNetwork("classifier", identity, spec.features, params, extract)


def extractor(network: FeatureNetwork, batch_size: int) -> Callable[[Data], Extracted]:
    """Compiles a network for batches of up to about ``batch_size``, sharded over the devices.

    The outputs are numpy arrays with one row for each example.
    """
    mesh = data_mesh()
    size = whole_batches(batch_size, batch_size, mesh)
    compiled = compiled_on_each_device(network.extract)

    def extract(data: Data) -> Extracted:
        outputs = compiled(network.params, shard_batch(data, mesh, size))
        return jax.tree.map(lambda array: np.asarray(array)[: len(data)], outputs)

    return extract


def extract_batches(
    network: FeatureNetwork,
    batches: Iterable[np.ndarray],
    batch_size: int,
    *,
    total: int | None = None,
) -> Iterator[Extracted]:
    """Yields the features of each batch of up to ``batch_size`` examples, with a progress bar.

    Args:
      network: the feature network.
      batches: data in their own unit.
      batch_size: size of the compiled batch.
      total: number of examples, if it is known.
    """
    extract = extractor(network, batch_size)
    shown = {"unit": " examples", "desc": f"{network.name} features", "disable": not is_first()}
    with tqdm(total=total, **shown) as progress:
        for batch in batches:
            yield extract(batch)
            progress.update(len(batch))


def in_batches(data: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yields the data in batches, the last one partial."""
    return (data[first : first + batch_size] for first in range(0, len(data), batch_size))


def features_of(network: FeatureNetwork, data: np.ndarray, batch_size: int = 256) -> Extracted:
    """Returns the features of all examples."""
    batches = in_batches(data, batch_size)
    parts = extract_batches(network, batches, batch_size, total=len(data))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
