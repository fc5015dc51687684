"""A network read as a score: its SDE, what it is told, and what it predicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree, expand_like, pytree
from sde_jax.initialization import Network, initialize
from sde_jax.score.parameterization import NoisePrediction, Parameterization, check_deviation
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.sde.discrete import check_levels, snap_to_whole


class TimeCondition(Protocol):
    """The number that tells a network the time, in the network's own units."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True, kw_only=True)
class ScaledTime:
    """``scale * t``: published VP and sub-VP networks are told 999 t whatever their step count.

    Those of a chain of N levels are told ``(N - 1) t``, at the time ``i / (N - 1)`` exactly i.
    """

    scale: float = 999.0
    """What the network is told at t = 1."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The time in the network's units; a whole number where it is one but for rounding."""
        return snap_to_whole(self.scale * t)


@dataclass(frozen=True, kw_only=True)
class LogScaledTime:
    """``log(scale * t)``: what published VP and sub-VP networks with Fourier features are told."""

    scale: float = 999.0
    """What the logarithm is taken of at t = 1."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The time in the network's units."""
        return jnp.log(self.scale * t)


@dataclass(frozen=True, kw_only=True)
class LogNoiseLevel:
    """``scale * log(sigma / alpha)``: the same network then serves every SDE of one noise range.

    Scale 1 is what published VE networks with Fourier features are told, and 0.25 those of Karras
    et al. 2022 (arXiv:2206.00364, table 1).
    """

    scale: float = 1.0
    """What the logarithm is multiplied by."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The noise level in the network's units."""
        return self.scale * jnp.log(sde.noise_to_signal(t))


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """``sigma / alpha``: told to VE networks with positional features, trained at all times."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The noise level itself."""
        return sde.noise_to_signal(t)


@dataclass(frozen=True, kw_only=True)
class DescendingIndex:
    """The nearest of N levels at the times ``i / (N - 1)``, counted down from 0 at t = 1.

    Published networks of the SMLD chain are told so. Halfway between two levels, the even one.

    Raises:
      ValueError: unless ``levels`` is at least 2.
    """

    levels: int = 1000
    """Noise levels, N."""

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The index, a whole number."""
        return jnp.round((self.levels - 1) * (1 - t))


class NoiseLevels(Protocol):
    """Signal scale and noise deviation of the data at t, where they are not those of the SDE."""

    def alpha(self, sde: LinearSDE, t: Time) -> Time: ...

    def sigma(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True)
class FunctionNetwork:
    """A network given as a function ``(params, x, time) -> output``, of any library or of none.

    With a condition the function is called as ``function(params, x, time, condition)``. Dropout is
    the function's own business.
    """

    function: Callable[..., Array]

    def init(self, *inputs: PyTree, **options: Any) -> NoReturn:
        """Raises ValueError: the parameters of a function are made by whoever wrote it."""
        raise ValueError("a `FunctionNetwork` has no initial parameters: make them yourself.")

    def apply(
        self,
        variables: Mapping[str, PyTree],
        x: Float[Array, "batch *shape"],
        time: Time,
        condition: PyTree | None = None,
        **options: Any,
    ) -> Array:
        """Calls the function, as `flax.linen.Module.apply` would."""
        conditions = () if condition is None else (condition,)
        return self.function(variables["params"], x, time, *conditions)


@dataclass(frozen=True, kw_only=True)
class ScoreModel:
    """How a Flax module becomes a score: everything about it but its parameters.

    The module is called as ``module(x, time, condition, deterministic=...)``; ``score`` imports no
    network, it receives one. Hashable, so that it can be static under `jax.jit`.

    Raises:
      ValueError: unless ``data_deviation`` is None or positive.
    """

    network: Network
    sde: LinearSDE
    parameterization: Parameterization = NoisePrediction()
    time_condition: TimeCondition = ScaledTime()
    noise_levels: NoiseLevels | None = None
    """Of the chain that the network is trained on, such as `DDPMChain`; None: the SDE's own."""
    data_deviation: float | None = None
    """Deviation d of the data, by which the network's input is normalized: it is shown
    ``x / sqrt(alpha^2 d^2 + sigma^2)``, of about unit size at every t. None: x itself."""

    def __post_init__(self) -> None:
        if self.data_deviation is not None:
            check_deviation(self.data_deviation)

    def init(
        self, key: PRNGKeyArray, shape: tuple[int, ...], condition: PyTree | None = None
    ) -> PyTree:
        """Initial parameters, for examples of ``shape``; the network is not run for them."""
        x, t = (jax.ShapeDtypeStruct(size, jnp.float32) for size in ((1, *shape), (1,)))
        return initialize(self.network, key, x, t, condition, deterministic=True)

    def coefficients(self, t: Time, x: Float[Array, "batch *shape"]) -> tuple[Array, Array]:
        """``alpha`` and ``sigma`` at ``t``, of the rank of ``x``."""
        levels = self.noise_levels
        if levels is None:
            alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
        else:
            alpha, sigma = levels.alpha(self.sde, t), levels.sigma(self.sde, t)
        return expand_like(alpha, x), expand_like(sigma, x)

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
        if self.data_deviation is not None:
            alpha, sigma = self.coefficients(t, x)
            x = x / jnp.hypot(alpha * self.data_deviation, sigma)
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        output = self.network.apply(
            {"params": params}, x, time, condition, deterministic=rngs is None, rngs=rngs
        )
        return jnp.asarray(output)


@pytree
@dataclass(frozen=True)
class NetworkScore:
    """The score that a trained network stands for; a pytree of its parameters and condition."""

    params: PyTree
    model: ScoreModel = field(metadata={"static": True})
    condition: PyTree | None = None

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The score at ``(x, t)``, in float32."""
        output = self.model.predict(self.params, x, t, self.condition)
        return self.model.parameterization.to_score(output, x, *self.model.coefficients(t, x))
