"""Samples of a run as its evaluation stores them, and their cost."""

import time

import jax
import jax.numpy as jnp

from sde_jax.arrays import PyTree
from sde_jax.evaluation.task import Drawn, usual_task
from sde_jax.recipes import Draw
from sde_jax.runs.generation import batch_drawer, example_keys
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.training import data_mesh

__all__ = ["kept_samples", "seconds_per_image"]


def kept_samples(run: GenerativeRun) -> Drawn:
    """Returns the samples of the run's usual evaluation."""
    return usual_task(run, data_mesh()).samples()


def seconds_per_image(draw: Draw, params: PyTree, count: int) -> float:
    """Returns the seconds of an image in a batch of ``count``, without compilation."""
    compiled, index = batch_drawer(draw, data_mesh()), jnp.arange(count)
    keys = example_keys(jax.random.key(0), 0, count)
    jax.block_until_ready(compiled(params, keys, index))
    started = time.perf_counter()
    jax.block_until_ready(compiled(params, keys, index))
    return (time.perf_counter() - started) / count
