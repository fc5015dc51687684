"""A network read as the probability of a class given noisy data."""

from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray, PyTree, expand_like, pytree
from sde_jax.initialization import initialize
from sde_jax.score.network import ScaledTime, TimeCondition
from sde_jax.score.parameterization import check_deviation
from sde_jax.sde.base import LinearSDE, Time

__all__ = ["ClassLogProbability", "ClassifierModel"]


@dataclass(frozen=True, kw_only=True)
class ClassifierModel:
    """How a Flax module becomes ``log p(class | x_t = x)``: all about it but its parameters.

    A noise-conditional classifier (Song et al. 2021, arXiv:2011.13456, appendix I). The module is
    called as ``module(x, time, deterministic=...)`` and returns a value with ``logits``, as
    `sde_jax.nets.classifier.Classifier` does. It is shown ``x / sqrt(alpha^2 d^2 + sigma^2)``, of
    about unit size at every t. Hashable, so that it can be static under `jax.jit`.

    Raises:
      ValueError: unless ``data_deviation`` is positive.
    """

    network: nn.Module
    sde: LinearSDE
    time_condition: TimeCondition = ScaledTime()
    """What the network is told of t."""
    data_deviation: float = 1.0
    """Deviation d of the data about 0, in model coordinates; images of [-1, 1] have .5 to 1."""

    def __post_init__(self) -> None:
        check_deviation(self.data_deviation)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``; the network is not run for them."""
        x, t = (jax.ShapeDtypeStruct(size, jnp.float32) for size in ((1, *shape), (1,)))
        return initialize(self.network, key, x, t, deterministic=True)

    def log_probabilities(
        self,
        params: PyTree,
        x: Float[Array, "batch *shape"],
        t: Time,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch classes"]:
        """``log p(class | x_t = x)`` of every class, in float32 nats.

        Args:
          params: the network's parameters.
          x: noisy examples, in model coordinates.
          t: one time, or one for each example.
          dropout_key: dropout is on where it is given.
        """
        t = jnp.broadcast_to(t, x.shape[:1])
        alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
        shown = x / expand_like(jnp.hypot(alpha * self.data_deviation, sigma), x)
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        outputs: Any = self.network.apply(
            {"params": params},
            shown,
            self.time_condition(self.sde, t),
            deterministic=rngs is None,
            rngs=rngs,
        )
        return jax.nn.log_softmax(outputs.logits.astype(jnp.float32), axis=1)


@pytree
@dataclass(frozen=True)
class ClassLogProbability:
    """``(x, t) -> log p(label | x_t = x)``, in nats; a pytree of parameters and label.

    Its gradient in x is what classifier guidance adds to a score (Dhariwal and Nichol 2021,
    arXiv:2105.05233, sec. 4): by Bayes' rule the score of a class is the score of all data plus it.
    """

    params: PyTree
    label: Int[Array, "*batch"]
    """Class of each example, or of all. One that the network does not have, negative ones
    included, gives NaN, and so does its gradient."""
    model: ClassifierModel = field(metadata={"static": True})

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch"]:
        """The log probability at ``(x, t)``, in float32."""
        log_probabilities = self.model.log_probabilities(self.params, x, t)
        label = jnp.broadcast_to(self.label, x.shape[:1])
        known = (label >= 0) & (label < log_probabilities.shape[1])
        chosen = jnp.take_along_axis(log_probabilities, label[:, None], axis=1, mode="clip")
        # A factor and not a choice: NaN must reach the gradient.
        return chosen[:, 0] * jnp.where(known, 1.0, jnp.nan)
