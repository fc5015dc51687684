"""Experiments whose networks are one convolution, so that their runs take seconds.

Commands take them as ``FILE:NAME``; `tiny` writes that down.
"""

from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.data import Digits
from sde_jax.nets import ClassifierSpec, NetworkSpec
from sde_jax.recipes import (
    Classification,
    EvaluationSettings,
    LikelihoodSettings,
    NoisyClassification,
    SamplerSettings,
    ScoreExperiment,
)
from sde_jax.runs.catalogue import find
from sde_jax.sde import VP
from sde_jax.training import Adam, RunDirectory, Training
from sde_jax.training.checkpoint import Checkpoints


def tiny(name):
    """The argument of a command for the experiment ``name`` of this file."""
    return f"{__file__}:{name}"


def untrained(name, folder):
    """Writes a run of the experiment ``name`` of this file: see `write_run`."""
    return write_run(find(tiny(name)), folder)


def write_run(named, folder):
    """Writes a run at step 0, with random parameters; the averaged ones are others."""
    directory = RunDirectory.create(folder, named.config())
    learner = named.experiment.learner(named.experiment.data.layout().shape)

    def init(key):
        state = learner.init(key)
        return state._replace(ema_params=jax.tree.map(lambda x: 0.9 * x, state.params))

    with Checkpoints(directory.checkpoints) as checkpoints:
        checkpoints.save(0, jax.jit(init)(jax.random.key(0)), {})
    return folder


@dataclass(frozen=True, kw_only=True)
class OneConvolutionSpec(NetworkSpec):
    """Hyperparameters of `OneConvolution`."""

    classes: int | None = None

    def build(self):
        return OneConvolution(self)


class OneConvolution(nn.Module):
    """``conv(x) + dense(log(1 + time)) + embedding(label)``, with an image beside x."""

    spec: OneConvolutionSpec
    dtype: object = jnp.float32
    precision: object = None

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        channels = x.shape[-1]
        options = {"dtype": self.dtype, "kernel_init": nn.initializers.normal(0.05)}
        shift = nn.Dense(channels, **options)(jnp.log1p(time)[:, None])
        if self.spec.classes is not None:
            label = jnp.full(len(x), -1) if condition is None else condition.label
            shift += nn.Embed(self.spec.classes + 1, channels, dtype=self.dtype)(label + 1)
        if condition is not None and condition.image is not None:
            x = jnp.concatenate([x, condition.image], axis=-1)
        output = nn.Conv(channels, (3, 3), precision=self.precision, **options)(x)
        return (output + shift[:, None, None]).astype(jnp.float32)


def digits():
    """A score model of 8x8 digits."""
    return ScoreExperiment(
        data=Digits(),
        sde=VP(),
        network=OneConvolutionSpec(),
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(
            steps=4, batch_size=16, eval_every=2, eval_examples=16, checkpoint_every=2, log_every=2
        ),
        sampling=SamplerSettings(steps=4, tolerance=0.1),
        likelihood=LikelihoodSettings(t_min=0.01, tolerance=0.1),
        evaluation=EvaluationSettings(
            count=64,
            likelihood_count=8,
            features=("coordinates",),
            sampling=SamplerSettings(sampler="unipc", steps=2),
        ),
    )


def labeled():
    """A class-conditional one."""
    return replace(digits(), network=OneConvolutionSpec(classes=10))


def colored():
    """A class-conditional one of coloured digits."""
    return replace(labeled(), data=Digits(coloured=True))


def classifier():
    """A classifier of digits."""
    return Classification(
        data=Digits(),
        network=ClassifierSpec(channels=4, multipliers=(1,), features=6),
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(steps=2, batch_size=16, eval_examples=16),
    )


def noisy_classifier():
    """A classifier of noisy digits, in colour."""
    return replace(grey_noisy_classifier(), data=Digits(coloured=True))


def grey_noisy_classifier():
    """A classifier of noisy digits."""
    return NoisyClassification(
        data=Digits(),
        sde=VP(),
        network=classifier().network,
        optimizer=Adam(learning_rate=3e-3),
        ema_decay=0.9,
        training=Training(steps=2, batch_size=16, eval_examples=16),
    )
