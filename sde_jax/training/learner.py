"""The learner of the training loop: anything that can be initialized, updated and evaluated."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray, PyTree, strided_parts
from sde_jax.data.source import Batch
from sde_jax.randomness import Seeds, example_seeds

Metrics = Mapping[str, Float[Array, ""]]
"""Scalars of one update by name, such as the loss."""

LossGradient = tuple[Float[Array, ""], PyTree]


class TrainState(NamedTuple):
    """All that training carries from one step to the next."""

    step: Int[Array, ""]
    """Updates made, int32."""

    params: PyTree
    """What is being optimized."""

    ema_params: PyTree
    """Its running average, which evaluation uses."""

    opt_state: PyTree
    """The optimizer's."""


class Losses(Protocol):
    """The losses of the examples of a batch, whose mean is minimized."""

    def __call__(
        self, params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example, at noise drawn from its own seed.

        ``deterministic`` turns off dropout, not the noise. A network draws dropout for all examples
        at once: only without it is the loss of an example the same in each part of the batch.
        """


@dataclasses.dataclass(frozen=True)
class Learner:
    """Three pure functions, none of them compiled."""

    init: Callable[[PRNGKeyArray], TrainState]
    """The state before the first step."""

    update: Callable[[TrainState, PRNGKeyArray, Batch], tuple[TrainState, Metrics]]
    """One step; the new state is shaped and typed like the old, with ``step`` one higher."""

    evaluate: Callable[[TrainState, PRNGKeyArray, Batch], Float[Array, "batch"]]
    """Held-out losses, one per example, of the averaged parameters."""


def ema_decay_at(ema_decay: float, step: Int[Array, ""]) -> Float[Array, ""]:
    """``min(ema_decay, (1 + n) / (10 + n))``, n the number of updates made, this one included."""
    return jnp.minimum(ema_decay, (1 + step) / (10 + step))


def averaged(ema_params: PyTree, params: PyTree, decay: Float[Array, ""] | float) -> PyTree:
    """The running average after one more update: ``decay * ema_params + (1 - decay) * params``."""

    def average(ema: Array, new: Array) -> Array:
        return (ema + (1 - decay) * (new - ema)).astype(ema.dtype)

    return jax.tree.map(average, ema_params, params)


def gradient_learner(
    init_params: Callable[[PRNGKeyArray], PyTree],
    losses: Losses,
    optimizer: optax.GradientTransformation,
    *,
    ema_decay: float,
    ema_warmup: bool = True,
    accumulate: int = 1,
) -> Learner:
    """A learner that minimizes the mean of ``losses`` by gradient descent.

    After each update, ``ema <- d * ema + (1 - d) * params``, with ``d`` from `ema_decay_at` or,
    without ``ema_warmup``, ``ema_decay`` from the start. The metrics are ``loss``, ``grad_norm``
    (the global norm before clipping) and, where the optimizer's state holds one,
    ``learning_rate``. The gradient is the mean of those of ``accumulate`` parts of the batch, one
    computed after the other. As each example has its own seed, this is the gradient of the whole
    batch where there is no dropout.

    Raises:
      ValueError: if ``ema_decay`` lies outside [0, 1).
    """
    if not 0 <= ema_decay < 1:
        raise ValueError(f"`ema_decay` must lie in [0, 1) (0: no averaging): got {ema_decay}")

    def init(key: PRNGKeyArray) -> TrainState:
        params = init_params(key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            ema_params=jax.tree.map(jnp.copy, params),
            opt_state=optimizer.init(params),
        )

    def update(state: TrainState, key: PRNGKeyArray, batch: Batch) -> tuple[TrainState, Metrics]:
        seeds = example_seeds(key, len(batch.x))
        loss, grads = mean_gradient(losses, state.params, seeds, batch, accumulate)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        step = state.step + 1
        decay = ema_decay_at(ema_decay, step) if ema_warmup else ema_decay
        ema_params = averaged(state.ema_params, params, decay)
        metrics = {"loss": loss, "grad_norm": optax.tree.norm(grads)}
        learning_rate = optax.tree.get(
            opt_state, "learning_rate", filtering=lambda _, value: isinstance(value, jax.Array)
        )
        if learning_rate is not None:
            metrics["learning_rate"] = learning_rate
        return TrainState(step, params, ema_params, opt_state), metrics

    def evaluate(state: TrainState, key: PRNGKeyArray, batch: Batch) -> Float[Array, "batch"]:
        seeds = example_seeds(key, len(batch.x))
        return losses(state.ema_params, seeds, batch, deterministic=True)

    return Learner(init, update, evaluate)


def mean_gradient(
    losses: Losses, params: PyTree, seeds: Seeds, batch: Batch, parts: int
) -> LossGradient:
    """Returns the mean loss and its gradient, computed on one part of the batch after the other."""

    def gradient(params: PyTree, seeds: Seeds, batch: Batch) -> LossGradient:
        def mean_loss(params: PyTree) -> Float[Array, ""]:
            return jnp.mean(losses(params, seeds, batch, deterministic=False))

        return jax.value_and_grad(mean_loss)(params)

    first, *others = strided_parts((seeds, batch), parts)
    total = gradient(params, *first)
    for part in others:
        params, total = jax.lax.optimization_barrier((params, total))
        total = jax.tree.map(jnp.add, total, gradient(params, *part))
    return jax.tree.map(lambda x: x / parts, total)
