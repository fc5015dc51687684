"""Samples of a run as its evaluation stores them, and the time that they take."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from sde_jax.evaluation import Drawn, usual_task
from sde_jax.runs import GenerativeRun, example_keys
from sde_jax.training import compiled_on_each_device


def kept_samples(run: GenerativeRun) -> Drawn:
    """Returns the samples of the run's usual evaluation."""
    return usual_task(run).samples()


def seconds_per_image(run: GenerativeRun, count: int) -> float:
    """Returns the seconds of an image of the evaluation, in a compiled batch of ``count``."""
    sample = run.sample_fn(run.experiment.evaluation.sampling)
    draw = compiled_on_each_device(sample)
    keys, index = example_keys(jax.random.key(0), 0, count), jnp.arange(count)

    def batch() -> None:
        jax.block_until_ready(draw(run.params, keys, index))

    batch()
    return seconds_of(batch) / count


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
