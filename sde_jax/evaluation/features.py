"""Networks whose features metrics compare, with all that makes two sets of features comparable."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sde_jax.arrays import Array, Float, PyTree
from sde_jax.interop.inception import load_inception, weights_sha256
from sde_jax.metrics import InceptionFeatures, InceptionPreprocessing
from sde_jax.recipes.classification import Classification
from sde_jax.runs.generation import whole_batches
from sde_jax.runs.trained_run import TrainedRun, open_run_of
from sde_jax.training.devices import data_mesh, on_each_device, replicated, shard_batch

PRECISION = "highest"
"""Of the classifier's products."""

Data = Float[Array | np.ndarray, "batch *shape"]


class Extracted(NamedTuple):
    """What a feature network says of examples."""

    features: Float[Array | np.ndarray, "batch dimension"]
    logits: Float[Array | np.ndarray, "batch classes"] | None
    """Of its classes, if it classifies."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A map from data, in their own unit (`Scaling.to_unit`), to features."""

    name: str
    """coordinates, classifier or inception."""
    identity: Mapping[str, str]
    """All that its features hang on: hash of the weights, preprocessing, precision."""
    dimension: int
    params: PyTree
    extract: Callable[[PyTree, Data], Extracted]
    """Of the parameters and the data; not compiled."""


def coordinates(shape: tuple[int, ...]) -> FeatureNetwork:
    """The data themselves as features: for points in the plane, and for small images."""

    def extract(params: PyTree, data: Data) -> Extracted:
        return Extracted(data.reshape(len(data), -1), None)

    return FeatureNetwork("coordinates", {}, math.prod(shape), {}, extract)


def inception(preprocessing: InceptionPreprocessing = "tensorflow") -> FeatureNetwork:
    """The last features of the published Inception, and the logits of the Inception Score.

    Raises:
      CheckpointFileError: if its weights are not in the cache, in a line that says how to get them.
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
    """The last hidden layer of the trained classifier of the run in ``path``, and its logits.

    Raises:
      WrongKindError: if it is no classifier's run.
      NotARunError: and as `open_run_of`.
    """
    return of_classifier(open_run_of(Classification, path, data_mesh()))


def of_classifier(run: TrainedRun[Classification]) -> FeatureNetwork:
    """What `classifier` makes of an open run; examples of another shape are a ValueError."""
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


def extractor(network: FeatureNetwork, mesh: Mesh, batch_size: int) -> Callable[[Data], Extracted]:
    """``network`` compiled for batches of up to about ``batch_size``, spread over the devices.

    What comes out is in numpy arrays, a row for each example that went in.
    """
    size = whole_batches(batch_size, batch_size, mesh)
    compiled = jax.jit(on_each_device(network.extract, mesh), out_shardings=replicated(mesh))

    def extract(data: Data) -> Extracted:
        outputs = compiled(network.params, shard_batch(data, mesh, size))
        return jax.tree.map(lambda array: np.asarray(array)[: len(data)], outputs)

    return extract
