"""Time-dependent classifiers of noisy data."""

from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Int,
    PerExample,
    PRNGKeyArray,
    PyTree,
    expand_like,
    pytree,
)
from sde_jax.initialization import apply, initialize
from sde_jax.score.network import ScaledTime, TimeCondition
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import Positive, Spec


@dataclass(frozen=True, kw_only=True)
class ClassifierModel(Spec):
    """Everything that turns a Flax module into ``log p(class | x_t = x)``, except its parameters.

    A noise-conditional classifier (Song et al. 2021, arXiv:2011.13456, appendix I). The module is
    called as ``module(x, time, deterministic=...)`` and returns a value with ``logits``, as
    `sde_jax.nets.Classifier` does. Its input is ``x / sqrt(alpha^2 d^2 + sigma^2)``, of about unit
    scale at every t. Hashable, so that it can be static under `jax.jit`.
    """

    network: nn.Module
    sde: LinearSDE
    time_condition: TimeCondition = ScaledTime()
    """Maps t to the time input of the network."""
    data_deviation: Positive = 1.0
    """Root mean square d of the data in model coordinates; .5 to 1 for images in [-1, 1]."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape``, without running the network."""
        x, t = (jax.ShapeDtypeStruct(size, jnp.float32) for size in ((1, *shape), (1,)))
        return initialize(self.network, key, x, t, deterministic=True)

    def log_probabilities(
        self, params: PyTree, x: Examples, t: Time, *, dropout_key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Returns ``log p(class | x_t = x)`` for every class, in float32 nats.

        Args:
          params: the network's parameters.
          x: noisy examples, in model coordinates.
          t: a scalar, or one time per example.
          dropout_key: enables dropout.
        """
        t = jnp.broadcast_to(t, x.shape[:1])
        alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
        shown = x / expand_like(jnp.hypot(alpha * self.data_deviation, sigma), x)
        time = self.time_condition(self.sde, t)
        outputs = apply(self.network, params, shown, time, dropout_key=dropout_key)
        return jax.nn.log_softmax(outputs.logits.astype(jnp.float32), axis=1)


@pytree
@dataclass(frozen=True)
class ClassLogProbability:
    """``(x, t) -> log p(label | x_t = x)``, in nats; a pytree of parameters and label.

    Its gradient in x is the term that classifier guidance adds to a score (Dhariwal and Nichol
    2021, arXiv:2105.05233, sec. 4). By Bayes' rule, the class-conditional score is the
    unconditional score plus this gradient.
    """

    params: PyTree
    label: Int[Array, "*batch"]
    """Class of each example, or one class for all. A class outside the network's range, including a
    negative one, gives NaN in the value and in its gradient."""
    model: ClassifierModel = field(metadata={"static": True})

    def __call__(self, x: Examples, t: Time) -> PerExample:
        """Returns the log probability at ``(x, t)``, in float32."""
        log_probabilities = self.model.log_probabilities(self.params, x, t)
        label = jnp.broadcast_to(self.label, x.shape[:1])
        known = jnp.float32((label >= 0) & (label < log_probabilities.shape[1]))
        chosen = jnp.take_along_axis(log_probabilities, label[:, None], axis=1, mode="clip")
        # A factor, 1 or 0 / 0, so that NaN propagates to the gradient.
        return chosen[:, 0] * (known / known)
