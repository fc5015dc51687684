"""Adaptive solves of ordinary differential equations by diffrax."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, PyTree
from sde_jax.ode.methods import Method
from sde_jax.sde.base import LinearSDE
from sde_jax.validation import Positive, Spec, Steps

VectorField = Callable[[Any, PyTree], PyTree]

# For a time interval of about 1. A field that is not finite fails here after a dozen rejected
# steps instead of `max_steps` of them.
_SMALLEST_STEP = 1e-9
_SHORTEST_FIRST_STEP = 1e-6
# Between two steps. Near the prior the drift nearly cancels and its error is rounding. With
# diffrax's factor of ten this rounding would decide the steps, and through them the result.
_LARGEST_GROWTH = 3.0


class FlowSolution(NamedTuple):
    """The end state of a solve, or the states at the requested times, and its cost."""

    y: PyTree
    nfe: Int[Array, ""]
    """Evaluations of the vector field, as made."""
    converged: Bool[Array, ""]
    """False if the solver gave up: step limit reached, step size vanished, or not finite."""


# With the evaluations of each step, whose last stage is the first of the next step.
_METHODS: dict[str, tuple[type[diffrax.AbstractERK], int]] = {
    "bosh3": (diffrax.Bosh3, 3),
    "dopri5": (diffrax.Dopri5, 6),
    "tsit5": (diffrax.Tsit5, 6),
}


@dataclass(frozen=True, kw_only=True)
class AdaptiveSolver(Spec):
    """An embedded Runge-Kutta pair of diffrax with a PID-controlled step size.

    The error of a step is measured relative to ``atol + rtol |y|``. Its norm is the largest root
    mean square over the leaves of the state, so that a number beside an image is not averaged away.
    """

    rtol: Positive = 1e-5
    """Relative tolerance of one step."""
    atol: Positive = 1e-5
    """Absolute tolerance of one step."""
    max_steps: Steps = 4096
    """Steps, rejected ones included, after which a solve is given up."""
    method: Method = "tsit5"
    """The pair. Tsitouras 5(4) suits exact scores and small errors. The flow of a network is
    rough: there Bogacki-Shampine 3(2) or Dormand-Prince 5(4) need fewer evaluations for an error
    of .001 bits per dimension."""

    def solve(
        self,
        vector_field: VectorField,
        y0: PyTree,
        t0: Array,
        t1: Array,
        first_step: Array | None = None,
    ) -> FlowSolution:
        """Integrates one example's ``dy/dt = vector_field(t, y)`` from ``t0`` to ``t1``.

        Map it over examples with `jax.vmap`; each example keeps its own step size. Everything runs
        at the highest matmul precision, since rounding to fewer bits would look like an error of
        the step. A failure is reported in the result and never raised: a host callback cannot be
        lowered for a TPU.

        The result can be differentiated in reverse mode, at fixed step sizes. diffrax keeps about
        ``sqrt(2 max_steps)`` states with their derivatives, 90 by default, and repeats the steps
        between them (Stumm and Walther 2010). A lower ``max_steps`` saves memory.

        Args:
          vector_field: the right-hand side, a function of a scalar time and the state.
          y0: the state at ``t0``, a pytree of arrays.
          t0: the initial time.
          t1: the final time, before or after ``t0``.
          first_step: the length of the first trial step; None lets diffrax guess it.

        Raises:
          ValueError: if it is differentiated in forward mode.
        """
        method, evaluations = _METHODS[self.method]
        with jax.default_matmul_precision("highest"), reverse_mode_only():
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, y, _: vector_field(t, y)),
                method(),
                t0,
                t1,
                dt0=None,
                y0=y0,
                stepsize_controller=StepSize(
                    rtol=self.rtol,
                    atol=self.atol,
                    factormax=_LARGEST_GROWTH,
                    dtmin=_SMALLEST_STEP,
                    force_dtmin=False,
                    norm=_largest_root_mean_square,
                    first_step=first_step,
                ),
                max_steps=self.max_steps,
                throw=False,
            )
        y: PyTree = jax.tree.map(lambda leaf: leaf[0], solution.ys)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(y)]).all()
        succeeded = solution.result == diffrax.RESULTS.successful
        nfe = 1 + evaluations * solution.stats["num_steps"]
        return FlowSolution(y, nfe, jnp.logical_and(succeeded, finite))

    def solve_through(
        self, vector_field: VectorField, y0: PyTree, times: Float[Array, "times"]
    ) -> FlowSolution:
        """Integrates from the first of ``times`` to the last and stops at each between them.

        Returns the states at all of ``times``, stacked; the first is ``y0``.
        """

        def leg(y: PyTree, ends: tuple[Array, Array]) -> tuple[PyTree, FlowSolution]:
            solution = self.solve(vector_field, y, *ends)
            return solution.y, solution

        with reverse_mode_only():
            _, legs = jax.lax.scan(leg, y0, (times[:-1], times[1:]))
        states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), y0, legs.y)
        return FlowSolution(states, legs.nfe.sum(), legs.converged.all())


@contextlib.contextmanager
def reverse_mode_only() -> Iterator[None]:
    """Explains the error of JAX where a solve of diffrax is differentiated in forward mode."""
    try:
        yield
    except TypeError as error:
        if "forward-mode autodiff" not in str(error):
            raise
        raise ValueError(
            "an adaptive solve is differentiable in reverse mode alone: use `jax.grad`, `jax.vjp` "
            "or `jax.jacrev`. For forward mode, `jax.jvp`, `jax.jacfwd` and `jax.hessian`, take a "
            "method of fixed steps, such as `MultistepLikelihood` or a sampler with a grid."
        ) from error


class StepSize(diffrax.PIDController):
    """A PID controller that tries ``first_step`` first, or diffrax's guess if that is None.

    If it were the ``dt0`` of the solve, a host callback would check its sign, and a host callback
    cannot be lowered for a TPU.
    """

    first_step: Array | None = None

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        dt0: Any,
        args: Any,
        func: Any,
        error_order: Any,
    ) -> Any:
        return super().init(terms, t0, t1, y0, self.first_step, args, func, error_order)


def data_end_step(sde: LinearSDE, t: Array) -> Array:
    """Returns a first step away from the data at time ``t``: log(sigma / alpha) changes by about 1.

    Noise grows there on the scale of t itself. A guess from drifts overlooks this growth, and so
    does the error estimate of a step of that length: at a tolerance of 1e-3 it cost .06 bits per
    dimension.
    """
    # At t = 0 a process may have no noise, and no such change.
    t = jnp.maximum(t, _SHORTEST_FIRST_STEP)
    growth = jax.grad(lambda t: jnp.log(sde.noise_to_signal(t)))(t)
    return jnp.maximum(1 / growth, _SHORTEST_FIRST_STEP)


def _largest_root_mean_square(error: PyTree) -> Array:
    squares = [jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(error)]
    return jnp.sqrt(jnp.stack(squares).max())
