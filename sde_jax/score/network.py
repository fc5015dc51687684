"""Networks as scores: the SDE, the network's inputs, and the parameterization of its output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NoReturn, Protocol, Self

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, PRNGKeyArray, PyTree, expand_like, pytree
from sde_jax.initialization import Network, apply, initialize
from sde_jax.score.parameterization import NoisePrediction, Parameterization
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.sde.discrete import snap_to_whole
from sde_jax.validation import POSITIVE, ComputeDtype, Levels, Spec


class TimeCondition(Protocol):
    """Maps t to the time input of a network, in the network's own units."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True, kw_only=True)
class ScaledTime(Spec):
    """``scale * t``. Published VP and sub-VP networks take 999 t whatever their number of steps.

    Networks of a chain of N levels take ``(N - 1) t``, which is exactly i at ``t = i / (N - 1)``.
    """

    scale: float = 999.0
    """Time input at t = 1."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """Returns the time in the network's units; integers are exact."""
        return snap_to_whole(self.scale * t)


@dataclass(frozen=True, kw_only=True)
class LogScaledTime(Spec):
    """``log(scale * t)``, the input of published VP and sub-VP networks with Fourier features."""

    scale: float = 999.0
    """Argument of the logarithm at t = 1."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return jnp.log(self.scale * t)


@dataclass(frozen=True, kw_only=True)
class LogNoiseLevel(Spec):
    """``scale * log(sigma / alpha)``; one network then serves every SDE with the same noise range.

    Published VE networks with Fourier features use scale 1; those of Karras et al. 2022
    (arXiv:2206.00364, table 1) use 0.25.
    """

    scale: float = 1.0
    """Factor of the logarithm."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return self.scale * jnp.log(sde.noise_to_signal(t))


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """``sigma / alpha``, the input of continuous-time VE networks with positional embeddings."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return sde.noise_to_signal(t)


@dataclass(frozen=True, kw_only=True)
class DescendingIndex(Spec):
    """The index of the nearest of N levels at times ``i / (N - 1)``, counted down to 0 at t = 1.

    It is the input of published networks of the SMLD chain. Halfway between two levels it is the
    even index.
    """

    levels: Levels = 1000
    """Number of noise levels, N."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """Returns the index, an integer-valued float."""
        return jnp.round((self.levels - 1) * (1 - t))


class NoiseLevels(Protocol):
    """Signal scale and noise deviation at t, where a chain's differ from the SDE's."""

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
        x: Examples,
        time: Time,
        condition: PyTree | None = None,
        **options: Any,
    ) -> Array:
        """Calls the function, as `flax.linen.Module.apply` would."""
        conditions = () if condition is None else (condition,)
        return self.function(variables["params"], x, time, *conditions)


@dataclass(frozen=True, kw_only=True)
class ScoreModel(Spec):
    """Everything that turns a Flax module into a score, except its parameters.

    The module is called as ``module(x, time, condition, deterministic=...)``. Hashable, so that it
    can be static under `jax.jit`.
    """

    network: Network
    sde: LinearSDE
    parameterization: Parameterization = NoisePrediction()
    time_condition: TimeCondition = ScaledTime()
    noise_levels: NoiseLevels | None = None
    """Noise levels of the chain that the network is trained on, such as `DDPMChain`; None for those
    of the SDE."""
    data_deviation: Annotated[float | None, POSITIVE] = None
    """Standard deviation d of the data, for input normalization: the network's input is
    ``x / sqrt(alpha^2 d^2 + sigma^2)``, of about unit scale at every t. None for x itself."""

    def init(
        self, key: PRNGKeyArray, shape: tuple[int, ...], condition: PyTree | None = None
    ) -> PyTree:
        """Returns initial parameters for examples of ``shape``, without running the network."""
        x, t = (jax.ShapeDtypeStruct(size, jnp.float32) for size in ((1, *shape), (1,)))
        return initialize(self.network, key, x, t, condition, deterministic=True)

    def coefficients(self, t: Time, x: Examples) -> tuple[Array, Array]:
        """Returns ``alpha`` and ``sigma`` at ``t``, broadcastable against ``x``."""
        levels = self.noise_levels
        if levels is None:
            alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
        else:
            alpha, sigma = levels.alpha(self.sde, t), levels.sigma(self.sde, t)
        return expand_like(alpha, x), expand_like(sigma, x)

    def predict(
        self,
        params: PyTree,
        x: Examples,
        t: Time,
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Examples:
        """Returns the network's raw output at ``(x, t)``; ``dropout_key`` enables dropout."""
        t = jnp.broadcast_to(t, x.shape[:1])
        time = self.time_condition(self.sde, t)
        if self.data_deviation is not None:
            alpha, sigma = self.coefficients(t, x)
            x = x / jnp.hypot(alpha * self.data_deviation, sigma)
        output = apply(self.network, params, x, time, condition, dropout_key=dropout_key)
        return jnp.asarray(output)


@pytree
@dataclass(frozen=True)
class NetworkScore:
    """The score of a trained network; a pytree of its parameters and condition."""

    params: PyTree
    model: ScoreModel = field(metadata={"static": True})
    condition: PyTree | None = None

    def __call__(self, x: Examples, t: Time) -> Examples:
        """Returns the score at ``(x, t)``, in float32."""
        output = self.model.predict(self.params, x, t, self.condition)
        return self.model.parameterization.to_score(output, x, *self.model.coefficients(t, x))

    def computing_in(self, dtype: ComputeDtype) -> Self:
        """Returns the score whose network computes in ``dtype``: see `computing_in`."""
        network = computing_in(self.model.network, dtype)
        return replace(self, model=replace(self.model, network=network))


def computing_in(network: Any, dtype: ComputeDtype) -> Any:
    """Returns the network that computes in ``dtype``; its parameters and outputs stay float32.

    Raises:
      ValueError: if the network cannot compute in another type than float32.
    """
    if dtype == "float32":
        return network
    if not hasattr(network, "dtype"):
        raise ValueError(
            f"`compute_dtype` must be float32 for a {type(network).__name__}, which has no "
            f"`dtype`: got {dtype}."
        )
    return network.clone(dtype=jnp.dtype(dtype))
