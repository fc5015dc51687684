"""Samples of a run as its evaluation stores them, their features and their cost."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import PyTree
from sde_jax.evaluation.features import Extracted, FeatureNetwork, extractor
from sde_jax.evaluation.task import BATCH_SIZE, Drawn, usual_task
from sde_jax.recipes.interfaces import Draw
from sde_jax.runs.generation import batch_drawer, example_keys
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.training.devices import data_mesh

__all__ = ["kept_samples", "seconds_per_image", "features_of"]


def kept_samples(run: GenerativeRun) -> Drawn:
    """Returns the samples of the run's usual evaluation."""
    return usual_task(run, data_mesh()).samples()


def features_of(network: FeatureNetwork, images: np.ndarray) -> Extracted:
    """Returns features and, for classifiers, logits of images in their own unit."""
    extract = extractor(network, data_mesh(), BATCH_SIZE)
    parts = [
        extract(images[first : first + BATCH_SIZE]) for first in range(0, len(images), BATCH_SIZE)
    ]
    logits = [part.logits for part in parts if part.logits is not None]
    return Extracted(
        np.concatenate([part.features for part in parts]),
        np.concatenate(logits) if logits else None,
    )


def seconds_per_image(draw: Draw, params: PyTree, count: int) -> float:
    """Returns the seconds of an image in a batch of ``count``, without compilation."""
    compiled, index = batch_drawer(draw, data_mesh()), jnp.arange(count)
    keys = example_keys(jax.random.key(0), 0, count)
    jax.block_until_ready(compiled(params, keys, index))
    started = time.perf_counter()
    jax.block_until_ready(compiled(params, keys, index))
    return (time.perf_counter() - started) / count
