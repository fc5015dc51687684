"""Adaptive solves of the probability flow, each example with its own step size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Int, PyTree

VectorField = Callable[[Any, PyTree], PyTree]


class FlowSolution(NamedTuple):
    """The end state of a solve, or the states at the times asked for, and what it cost."""

    y: PyTree
    nfe: Int[Array, ""]
    """Evaluations of the vector field, as made."""
    converged: Bool[Array, ""]
    """False if the solver gave up: step limit reached, step size vanished, or not finite."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveSolver:
    """Tsitouras' 5(4) pair with a PID-controlled step, as diffrax implements it.

    The error of one step is measured relative to ``atol + rtol |y|``, by the largest root mean
    square over the leaves of the state, so that a number beside an image is not averaged away.

    Raises:
      ValueError: unless both tolerances and ``max_steps`` are positive.
    """

    rtol: float = 1e-5
    """Relative tolerance of one step."""
    atol: float = 1e-5
    """Absolute tolerance of one step."""
    max_steps: int = 4096
    """Steps, rejected ones included, after which a solve is given up."""

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "max_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive: got {name}={getattr(self, name)}.")

    def solve(
        self,
        vector_field: VectorField,
        y0: PyTree,
        t0: Array,
        t1: Array,
        *,
        save_at: Array | None = None,
    ) -> FlowSolution:
        """Integrates one example's ``dy/dt = vector_field(t, y)`` from ``t0`` to ``t1``.

        Failures are reported in the result, never raised: a host callback could not be lowered for
        a TPU. Map it over examples with `jax.vmap`.

        Args:
          vector_field: the right-hand side, of a scalar time and the state.
          y0: the state at ``t0``, a pytree of arrays.
          t0: where to begin.
          t1: where to end, before or after ``t0``.
          save_at: times whose states are returned instead, stacked; the step is not bound to them.
        """
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _: vector_field(t, y)),
            diffrax.Tsit5(),
            t0,
            t1,
            dt0=None,
            y0=y0,
            saveat=diffrax.SaveAt(t1=True) if save_at is None else diffrax.SaveAt(ts=save_at),
            stepsize_controller=diffrax.PIDController(
                rtol=self.rtol, atol=self.atol, norm=_largest_root_mean_square
            ),
            max_steps=self.max_steps,
            throw=False,
        )
        y: PyTree = solution.ys
        if save_at is None:
            y = jax.tree.map(lambda leaf: leaf[0], y)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(y)]).all()
        succeeded = solution.result == diffrax.RESULTS.successful
        # One evaluation at y0, one more to choose the first step, six for each step: the seventh
        # stage of the pair is the first of the next step.
        nfe = 2 + 6 * solution.stats["num_steps"]
        return FlowSolution(y, nfe, jnp.logical_and(succeeded, finite))


def _largest_root_mean_square(error: PyTree) -> Array:
    squares = [jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(error)]
    return jnp.sqrt(jnp.stack(squares).max())
