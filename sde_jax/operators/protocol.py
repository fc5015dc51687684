"""Interfaces of measurement operators."""

from typing import Protocol

from sde_jax.arrays import Array, Examples, Float

Variance = Float[Array, "*batch"] | float


class Operator(Protocol):
    """A differentiable measurement ``A(x)`` of each example, linear or not.

    An operator is a pytree of its arrays, so that samplers compile once for all its values.
    """

    def __call__(self, x: Examples) -> Float[Array, "batch *measured"]: ...


class LinearOperator(Operator, Protocol):
    """A linear measurement ``A x`` with a closed-form solver for ``A A^T``."""

    def adjoint(self, y: Float[Array, "batch *measured"]) -> Examples:
        """Returns ``A^T y``: ``<A x, y> = <x, A^T y>`` for all x and y."""
        ...

    def solve(
        self, y: Float[Array, "batch *measured"], variance: Variance, noise_variance: Variance
    ) -> Float[Array, "batch *measured"]:
        """Returns ``(variance A A^T + noise_variance I)^+ y``.

        If x has covariance ``variance I`` and ``y = A x + noise`` with noise of ``noise_variance``,
        this is y multiplied by the inverse of its covariance.

        Args:
          y: measurements.
          variance: at least 0; a scalar or one number per example.
          noise_variance: likewise. Where it is 0, unmeasured directions give 0. A direction in
            which both terms are 0 gives 0.
        """
        ...


def pseudo_inverse(operator: LinearOperator, y: Float[Array, "batch *measured"]) -> Examples:
    """Returns ``A^+ y = A^T (A A^T)^+ y``, the least-squares solution of smallest norm."""
    return operator.adjoint(operator.solve(y, 1.0, 0.0))
