"""A small learner on a small data set; as a script, a run of it that can be killed.

``python toy_run.py FOLDER [WIDTH] [LIMIT]`` trains in FOLDER, continuing what is there. WIDTH is
the size of the hidden layer; LIMIT is the number of bytes that a file may hold.
"""

import itertools
import json
import resource
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.data import Batch
from sde_jax.randomness import unit_noise
from sde_jax.training import (
    Adam,
    Learner,
    Losses,
    RunDirectory,
    RunError,
    Training,
    gradient_learner,
    train,
)

DIMENSION = 3
TIMES = {"seconds", "images_per_second"}
TRAINING = Training(
    steps=40,
    batch_size=16,
    seed=3,
    log_every=4,
    eval_every=10,
    checkpoint_every=6,
    keep_checkpoints=2,
)


class ToySource:
    """Standard normal points, labelled by the sign of the first coordinate; 21 are held out."""

    shape = (DIMENSION,)
    sizes = {"train": 64, "test": 21}

    def __init__(self, on_batch: Callable[[int], None] = lambda index: None):
        self.on_batch = on_batch

    def stream(self, key, split, batch_size, *, start=0, sharding=None):
        for index in itertools.count(start):
            self.on_batch(index)
            points = jax.random.normal(jax.random.fold_in(key, index), (batch_size, DIMENSION))
            yield place(np.asarray(points), sharding)

    def batches(self, key, split, batch_size, *, count=None, sharding=None):
        points = np.asarray(jax.random.normal(key, (self.sizes[split], DIMENSION)))[:count]
        for first in range(0, len(points), batch_size):
            yield place(points[first : first + batch_size], None)


def place(points, sharding):
    return jax.device_put(Batch(points, (points[:, 0] > 0).astype(np.int32)), sharding)


def toy_losses(params, seeds, batch, *, deterministic):
    """Squared error of a regression of the sum on noisy points, by a net with one hidden layer."""
    noisy = batch.x + 0.1 * unit_noise(seeds.keys, batch.x.shape[1:])
    hidden = jnp.tanh(noisy @ params["w"] + params["b"][None])
    return (hidden @ params["v"] - batch.x.sum(1)) ** 2


def toy_learner(width: int = 8, losses: Losses = toy_losses) -> Learner:
    def init_params(key):
        key_w, key_v = jax.random.split(key)
        return {
            "w": jax.random.normal(key_w, (DIMENSION, width)),
            "b": jnp.zeros(width),
            "v": jax.random.normal(key_v, (width,)) / width**0.5,
        }

    optimizer = Adam(learning_rate=0.01, warmup_steps=5, decay="cosine").build(TRAINING.steps)
    return gradient_learner(init_params, losses, optimizer, ema_decay=0.9)


def changed(**fields):
    return Training(**{**vars(TRAINING), **fields})


def run_toy(folder, *, source=None, learner=None, mesh=None, draw=None, **fields):
    run = RunDirectory.resume(folder, {})
    learner = learner or toy_learner()
    training = changed(**fields)
    source = source or ToySource()
    return train(learner, source, run, training, mesh=mesh, progress=False, draw=draw)


def lines(folder):
    """The log without times, as text: equal means bitwise equal."""
    metrics = RunDirectory.open(folder).read_metrics()
    return [json.dumps({k: v for k, v in line.items() if k not in TIMES}) for line in metrics]


def assert_bitwise(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual.state, expected.state)


def train_wide(folder, width):
    """What the script does, without its limit."""
    run = RunDirectory.resume(folder, {"width": width})
    return train(toy_learner(width), ToySource(), run, TRAINING, progress=False)


if __name__ == "__main__":
    width = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        result = train_wide(sys.argv[1], width)
    except RunError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(result.step)
