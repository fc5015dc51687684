"""The score, the interface shared by networks, samplers and likelihoods."""

from typing import Protocol

from sde_jax.arrays import Array, Examples, Float


class Score(Protocol):
    """A callable ``(x, t) -> gradient of log p_t(x)``, of the shape of ``x``.

    ``x`` has shape ``(batch, *shape)``. ``t``, in [0, 1], is a scalar or has one time per example.
    A score that holds arrays is a pytree, so that samplers compile once for all its values.
    """

    def __call__(self, x: Examples, t: Float[Array, "*batch"]) -> Examples: ...
