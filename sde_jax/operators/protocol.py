"""What an inverse problem measures of its examples, and how much of it can be undone."""

from typing import Protocol

from sde_jax.arrays import Array, Float

Variance = Float[Array, "*batch"] | float


class Operator(Protocol):
    """A differentiable measurement ``A(x)`` of each example, linear or not.

    An operator is a pytree of its arrays, so that samplers compile once for all its values.
    """

    def __call__(self, x: Float[Array, "batch *shape"]) -> Float[Array, "batch *measured"]: ...


class LinearOperator(Operator, Protocol):
    """A measurement ``A x`` whose ``A A^T`` has known axes, so that one can divide by it."""

    def adjoint(self, y: Float[Array, "batch *measured"]) -> Float[Array, "batch *shape"]:
        """``A^T y``: for all x and y ``<A x, y> = <x, A^T y>``."""
        ...

    def solve(
        self, y: Float[Array, "batch *measured"], variance: Variance, noise_variance: Variance
    ) -> Float[Array, "batch *measured"]:
        """``(variance A A^T + noise_variance I)^+ y``.

        If x has covariance ``variance I`` and y is ``A x`` and noise of ``noise_variance``, this is
        y divided by its covariance.

        Args:
          y: measurements.
          variance: at least 0, one number or one for each example.
          noise_variance: likewise. Where it is 0, directions that the operator does not measure
            give 0; so does every direction in which both terms are 0.
        """
        ...


def pseudo_inverse(
    operator: LinearOperator, y: Float[Array, "batch *measured"]
) -> Float[Array, "batch *shape"]:
    """``A^+ y = A^T (A A^T)^+ y``: of the examples that fit y best, the one of smallest norm."""
    return operator.adjoint(operator.solve(y, 1.0, 0.0))
