"""A network read as a score: its SDE, what it is told, and what it predicts."""

from dataclasses import dataclass, field
from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree, expand_like
from sde_jax.score.parameterization import NoisePrediction, Parameterization
from sde_jax.sde.base import LinearSDE, Time


class TimeCondition(Protocol):
    """The number that tells a network the time, in the network's own units."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True, kw_only=True)
class ScaledTime:
    """``scale * t``: published VP and sub-VP networks are told 999 t whatever their step count."""

    scale: float = 999.0
    """What the network is told at t = 1."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The time in the network's units."""
        return self.scale * t


@dataclass(frozen=True, kw_only=True)
class LogNoiseLevel:
    """``scale * log(sigma / alpha)``: the same network then serves every SDE of one noise range."""

    scale: float = 1.0
    """What the logarithm is multiplied by."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The noise level in the network's units."""
        return self.scale * jnp.log(sde.noise_to_signal(t))


@dataclass(frozen=True, kw_only=True)
class ScoreModel:
    """How a Flax module becomes a score: everything about it but its parameters.

    The module is called as ``module(x, time, condition, deterministic=...)``; ``score`` imports no
    network, it receives one. Hashable, so that it can be static under `jax.jit`.
    """

    network: nn.Module
    sde: LinearSDE
    parameterization: Parameterization = NoisePrediction()
    time_condition: TimeCondition = ScaledTime()
    normalize_input: bool = False
    """Whether the network sees ``x / sqrt(alpha^2 + sigma^2)``, of about unit size at every t."""

    def init(
        self, key: PRNGKeyArray, shape: tuple[int, ...], condition: PyTree | None = None
    ) -> PyTree:
        """Initial parameters, for examples of ``shape``."""
        x, t = jnp.zeros((1, *shape)), jnp.ones((1,))
        return self.network.init(key, x, t, condition, deterministic=True)["params"]

    def predict(
        self,
        params: PyTree,
        x: Float[Array, "batch *shape"],
        t: Time,
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch *shape"]:
        """The network's raw output at ``(x, t)``; dropout is on where it is given a key."""
        t = jnp.broadcast_to(t, x.shape[:1])
        time = self.time_condition(self.sde, t)
        if self.normalize_input:
            x = x / expand_like(jnp.hypot(self.sde.alpha(t), self.sde.sigma(t)), x)
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        output = self.network.apply(
            {"params": params}, x, time, condition, deterministic=rngs is None, rngs=rngs
        )
        return jnp.asarray(output)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NetworkScore:
    """The score that a trained network stands for; a pytree of its parameters and condition."""

    params: PyTree
    model: ScoreModel = field(metadata={"static": True})
    condition: PyTree | None = None

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The score at ``(x, t)``, in float32."""
        output = self.model.predict(self.params, x, t, self.condition)
        sde = self.model.sde
        alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)
        return self.model.parameterization.to_score(output, x, alpha, sigma)
