"""Generative adversarial networks: a generator, what judges it, and how the two are trained."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree, strided_parts
from sde_jax.baselines.adversarial_loss import AdversarialLoss, Examples, PerExample
from sde_jax.data.source import Batch
from sde_jax.initialization import initialize
from sde_jax.randomness import Seeds, example_seeds, unit_noise
from sde_jax.sampling import Samples
from sde_jax.training.learner import Learner, Metrics, TrainState, averaged, ema_decay_at

__all__ = ["GAN", "gan_learner"]


@dataclass(frozen=True, kw_only=True)
class GAN:
    """A generator of examples from Gaussian latents, and a discriminator (arXiv:1406.2661).

    Neither network may look at other examples of a batch, as batch normalization does. Hashable, so
    that it can be static under `jax.jit`.

    Raises:
      ValueError: unless ``latent_dimension`` is at least 1.
    """

    generator: nn.Module
    """Called as ``(latent, shape=shape)``; returns ``[batch, *shape]``, in model coordinates."""
    discriminator: nn.Module
    """Called as ``(x)``; returns ``[batch]`` scores, logits of being real."""
    latent_dimension: int = 100
    """Numbers that an example is generated from, each N(0, 1)."""

    def __post_init__(self) -> None:
        if self.latent_dimension < 1:
            raise ValueError(f"`latent_dimension` must be at least 1: got {self.latent_dimension}.")

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters of ``generator`` and ``discriminator``, for examples of ``shape``."""
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
        """The examples of ``shape`` that latents stand for; ``params`` are the generator's."""
        return jnp.asarray(self.generator.apply({"params": params}, latent, shape=shape))

    def score(self, params: PyTree, x: Examples) -> PerExample:
        """How real each example looks; ``params`` are the discriminator's."""
        return jnp.asarray(self.discriminator.apply({"params": params}, x))

    def sample(self, params: PyTree, keys: Key[Array, "batch"], shape: tuple[int, ...]) -> Samples:
        """One sample for each key, from one evaluation of the generator; ``params`` are both's."""
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
    """A learner that trains discriminator and generator in turn, for examples of ``shape``.

    One update is ``discriminator_steps`` of the discriminator and then one of the generator, which
    sees the discriminator that they lead to. Each discriminator step has a part of the batch to
    itself (examples ``index, index + discriminator_steps, ...``), as if it were a smaller batch; it
    and the generator's step each generate as many examples as a part has, from fresh latents. Both
    networks are averaged, as in `gradient_learner`.

    The metrics are ``loss`` and ``grad_norm`` of the generator, and, as means over the
    discriminator's steps, ``discriminator_loss`` with its penalty, ``real_score`` and
    ``generated_score``. Evaluation gives the averaged discriminator's loss on each held-out real
    example, without penalty: a rise of it while ``real_score`` does not fall shows that the
    discriminator learns the training set by heart. It does not measure samples.

    Raises:
      ValueError: if ``ema_decay`` lies outside [0, 1) or ``discriminator_steps`` is less than 1;
        from the update, if the batch does not divide into that many parts.
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
        params, opt_state = state.params, state.opt_state
        if len(batch.x) % discriminator_steps:
            raise ValueError(
                "`discriminator_steps` must divide the batch: got "
                f"discriminator_steps={discriminator_steps} for a batch of {len(batch.x)} examples."
            )
        seeds, seen = example_seeds(key, len(batch.x)), []
        for part, real in strided_parts((seeds, batch.x), discriminator_steps):
            seeds_discriminator, seeds_generator = part.split()
            grads, metrics = discriminator_gradient(model, loss, params, seeds_discriminator, real)
            params, opt_state = descend("discriminator", optimizers, grads, params, opt_state)
            seen.append(metrics)
        grads, metrics = generator_gradient(model, loss, params, seeds_generator, real)
        params, opt_state = descend("generator", optimizers, grads, params, opt_state)
        metrics |= jax.tree.map(lambda *values: jnp.stack(values).mean(), *seen)
        step = state.step + 1
        ema_params = averaged(state.ema_params, params, ema_decay_at(ema_decay, step))
        return TrainState(step, params, ema_params, opt_state), metrics

    def evaluate(state: TrainState, key: PRNGKeyArray, batch: Batch) -> PerExample:
        return loss.of_real(model.score(state.ema_params["discriminator"], batch.x))

    return Learner(init, update, evaluate)


def discriminator_gradient(
    model: GAN, loss: AdversarialLoss, params: PyTree, seeds: Seeds, real: Examples
) -> tuple[PyTree, dict[str, Float[Array, ""]]]:
    """The gradient of the discriminator's mean loss, and its metrics."""
    seeds_latent, seeds_penalty = seeds.split()
    latent = latents_beside(real, seeds_latent.keys, model.latent_dimension)
    generated = model.generate(params["generator"], latent, real.shape[1:])

    def mean_loss(discriminator: PyTree) -> tuple[Array, dict[str, Array]]:
        def score(x: Examples) -> PerExample:
            return model.score(discriminator, x)

        real_scores, generated_scores = score(real), score(generated)
        losses = loss.of_real(real_scores) + loss.of_generated(generated_scores)
        mean = (losses + loss.gradient_penalty(score, seeds_penalty.keys, real, generated)).mean()
        return mean, {
            "discriminator_loss": mean,
            "real_score": real_scores.mean(),
            "generated_score": generated_scores.mean(),
        }

    return jax.grad(mean_loss, has_aux=True)(params["discriminator"])


def generator_gradient(
    model: GAN, loss: AdversarialLoss, params: PyTree, seeds: Seeds, real: Examples
) -> tuple[PyTree, dict[str, Float[Array, ""]]]:
    """The gradient of the generator's mean loss, and its metrics; of ``real`` the shape matters."""
    latent = latents_beside(real, seeds.keys, model.latent_dimension)

    def mean_loss(generator: PyTree) -> Array:
        generated = model.generate(generator, latent, real.shape[1:])
        return loss.of_generator(model.score(params["discriminator"], generated)).mean()

    value, grads = jax.value_and_grad(mean_loss)(params["generator"])
    return grads, {"loss": value, "grad_norm": optax.tree.norm(grads)}


def latents_beside(
    x: Examples, keys: Key[Array, "batch"], dimension: int
) -> Float[Array, "batch dimension"]:
    """A latent for each example, on the device that has the example.

    The compiler spreads over devices only what depends on something that is: without the zero from
    ``x`` each device would generate the whole batch.
    """
    return unit_noise(keys, (dimension,)) + 0.0 * x.reshape(len(x), -1)[:, :1]


def descend(
    name: str,
    optimizers: dict[str, optax.GradientTransformation],
    grads: PyTree,
    params: PyTree,
    opt_state: PyTree,
) -> tuple[PyTree, PyTree]:
    """Parameters and optimizer states after a step of one of the two networks."""
    updates, new_state = optimizers[name].update(grads, opt_state[name], params[name])
    new_params = optax.apply_updates(params[name], updates)
    return params | {name: new_params}, opt_state | {name: new_state}
