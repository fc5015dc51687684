"""Generative adversarial networks and their learner."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Keys,
    PerExample,
    PRNGKeyArray,
    PyTree,
    strided_parts,
)
from sde_jax.baselines.adversarial_loss import AdversarialLoss
from sde_jax.data.source import Batch
from sde_jax.initialization import initialize
from sde_jax.randomness import Seeds, example_seeds, unit_noise
from sde_jax.sampling import Samples
from sde_jax.training.learner import Learner, Metrics, TrainState, averaged, ema_decay_at
from sde_jax.validation import Spec, at_least

LossAndMetrics = tuple[Float[Array, ""], dict[str, Float[Array, ""]]]


@dataclass(frozen=True, kw_only=True)
class GAN(Spec):
    """A generator that maps Gaussian latents to examples, and a discriminator (arXiv:1406.2661).

    Both networks must treat the examples of a batch independently, unlike batch normalization. The
    model is hashable and can be static under `jax.jit`.

    Raises:
      ValueError: unless ``latent_dimension`` is at least 1.
    """

    generator: nn.Module
    """Called as ``(latent, shape=shape)``; returns ``[batch, *shape]``, in model coordinates."""
    discriminator: nn.Module
    """Called as ``(x)``; returns ``[batch]`` scores, the logits of being real."""
    latent_dimension: Annotated[int, at_least(1)] = 100
    """Number of latent variables of an example, each N(0, 1)."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters of ``generator`` and ``discriminator`` for ``shape``."""
        key_generator, key_discriminator = jax.random.split(key)
        latent = jax.ShapeDtypeStruct((1, self.latent_dimension), jnp.float32)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return {
            "generator": initialize(self.generator, key_generator, latent, shape=shape),
            "discriminator": initialize(self.discriminator, key_discriminator, x),
        }

    def generate(
        self, params: PyTree, latent: Float[Array, "batch latent"], shape: tuple[int, ...]
    ) -> Examples:
        """Returns the examples of ``shape`` that the generator of these parameters makes."""
        return jnp.asarray(self.generator.apply({"params": params}, latent, shape=shape))

    def score(self, params: PyTree, x: Examples) -> PerExample:
        """Returns the scores that the discriminator of these parameters gives."""
        return jnp.asarray(self.discriminator.apply({"params": params}, x))

    def sample(self, params: PyTree, keys: Keys, shape: tuple[int, ...]) -> Samples:
        """Draws one sample for each key with one evaluation of the generator.

        ``params`` holds the parameters of both networks.
        """
        latent = unit_noise(keys, (self.latent_dimension,))
        x = self.generate(params["generator"], latent, shape)
        return Samples(x, jnp.ones(keys.shape, jnp.int32), jnp.ones(keys.shape, bool))


def gan_learner(
    model: GAN,
    shape: tuple[int, ...],
    loss: AdversarialLoss,
    *,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    discriminator_steps: int = 1,
    ema_decay: float,
) -> Learner:
    """Builds a learner that alternates between discriminator and generator.

    One update makes ``discriminator_steps`` steps of the discriminator and then one step of the
    generator against the updated discriminator. Each discriminator step uses its own part of the
    batch (examples ``index, index + discriminator_steps, ...``). Each step generates as many
    examples as a part has, from fresh latents. Both networks are averaged, as in
    `gradient_learner`.

    The metrics are ``loss`` and ``grad_norm`` of the generator and, as means over the
    discriminator's steps, ``discriminator_loss`` with its penalty, ``real_score`` and
    ``generated_score``. Evaluation returns the loss of the averaged discriminator on each held-out
    real example, without penalty. If it rises while ``real_score`` does not fall, the discriminator
    overfits the training set. It does not measure sample quality.

    Raises:
      ValueError: if ``ema_decay`` lies outside [0, 1) or ``discriminator_steps`` is less than 1;
        from the update, if ``discriminator_steps`` does not divide the batch.
    """
    if not 0 <= ema_decay < 1:
        raise ValueError(f"`ema_decay` must lie in [0, 1) (0: no averaging): got {ema_decay}")
    if discriminator_steps < 1:
        raise ValueError(f"`discriminator_steps` must be at least 1: got {discriminator_steps}")

    optimizers = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}

    def init(key: PRNGKeyArray) -> TrainState:
        params = model.init(key, shape)
        opt_state = {name: optimizers[name].init(params[name]) for name in optimizers}
        ema_params = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.zeros((), jnp.int32), params, ema_params, opt_state)

    def update(state: TrainState, key: PRNGKeyArray, batch: Batch) -> tuple[TrainState, Metrics]:
        count, steps = len(batch.x), []
        if count % discriminator_steps:
            raise ValueError(
                "`discriminator_steps` must divide the batch: got "
                f"discriminator_steps={discriminator_steps} for a batch of {count} examples."
            )
        for seeds, real in strided_parts((example_seeds(key, count), batch.x), discriminator_steps):
            own_seeds, generator_seeds = seeds.split()
            mean_loss = functools.partial(discriminator_loss, model, loss, own_seeds, real)
            state, metrics = descend("discriminator", mean_loss, optimizers, state)
            steps.append(metrics)
        mean_loss = functools.partial(generator_loss, model, loss, generator_seeds, real)
        state, metrics = descend("generator", mean_loss, optimizers, state)
        means = jax.tree.map(lambda *values: jnp.stack(values).mean(), *steps)
        number = state.step + 1
        ema_params = averaged(state.ema_params, state.params, ema_decay_at(ema_decay, number))
        return state._replace(step=number, ema_params=ema_params), means | metrics

    def evaluate(state: TrainState, key: PRNGKeyArray, batch: Batch) -> PerExample:
        return loss.real_losses(model.score(state.ema_params["discriminator"], batch.x))

    return Learner(init, update, evaluate)


def descend(
    name: str,
    mean_loss: Callable[[PyTree, PyTree], LossAndMetrics],
    optimizers: dict[str, optax.GradientTransformation],
    state: TrainState,
) -> tuple[TrainState, Metrics]:
    """Makes one optimizer step of the network ``name``; ``step`` and the average stay."""
    params = state.params[name]
    grads, metrics = jax.grad(mean_loss, has_aux=True)(params, state.params)
    updates, opt_state = optimizers[name].update(grads, state.opt_state[name], params)
    state = state._replace(
        params=state.params | {name: optax.apply_updates(params, updates)},
        opt_state=state.opt_state | {name: opt_state},
    )
    return state, metrics | {"grad_norm": optax.tree.norm(grads)}


def discriminator_loss(
    model: GAN, loss: AdversarialLoss, seeds: Seeds, real: Examples, own: PyTree, params: PyTree
) -> LossAndMetrics:
    """Returns the mean loss of the discriminator of parameters ``own``, and its metrics."""
    seeds_latent, seeds_penalty = seeds.split()
    latent = draw_latents(seeds_latent.keys, model.latent_dimension, real)
    generated = model.generate(params["generator"], latent, real.shape[1:])

    def score(x: Examples) -> PerExample:
        return model.score(own, x)

    real_scores, generated_scores = score(real), score(generated)
    losses = loss.real_losses(real_scores) + loss.generated_losses(generated_scores)
    mean = (losses + loss.gradient_penalty(score, seeds_penalty.keys, real, generated)).mean()
    return mean, {
        "discriminator_loss": mean,
        "real_score": real_scores.mean(),
        "generated_score": generated_scores.mean(),
    }


def generator_loss(
    model: GAN, loss: AdversarialLoss, seeds: Seeds, real: Examples, own: PyTree, params: PyTree
) -> LossAndMetrics:
    """Returns the mean loss of the generator of parameters ``own``; ``real`` gives the shape."""
    latent = draw_latents(seeds.keys, model.latent_dimension, real)
    generated = model.generate(own, latent, real.shape[1:])
    mean = loss.generator_losses(model.score(params["discriminator"], generated)).mean()
    return mean, {"loss": mean}


def draw_latents(keys: Keys, dimension: int, x: Examples) -> Float[Array, "batch dimension"]:
    """Draws a latent for each example, on the device that holds the example.

    The compiler distributes a computation over devices only if it depends on a distributed array.
    The zero from ``x`` is this dependence; without it each device generates the whole batch.
    """
    return unit_noise(keys, (dimension,)) + 0.0 * x.reshape(len(x), -1)[:, :1]
