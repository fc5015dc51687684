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
from sde_jax.validation import Positive, Spec, Steps

VectorField = Callable[[Any, PyTree], PyTree]

# For a time interval of about 1. A field that is not finite fails here after a dozen rejected
# steps instead of `max_steps` of them.
_SMALLEST_STEP = 1e-9
_FIRST_STEP = 0.01
_LARGEST_GROWTH = 5.0  # between two steps


class FlowSolution(NamedTuple):
    """The end state of a solve, or the states at the requested times, and its cost."""

    y: PyTree
    nfe: Int[Array, ""]
    """Evaluations of the vector field, as made."""
    converged: Bool[Array, ""]
    """False if the solver gave up: step limit reached, step size vanished, or not finite."""


# With the evaluations of each step, whose last stage is the first of the next step, and with the
# number that divides the tolerances, so that samples are off by about the tolerance. diffrax's
# error estimate of Dormand and Prince is two thirds of theirs.
_METHODS: dict[str, tuple[type[diffrax.AbstractERK], int, float]] = {
    "bosh3": (diffrax.Bosh3, 3, 1.0),
    "dopri5": (diffrax.Dopri5, 6, 5.0),
    "tsit5": (diffrax.Tsit5, 6, 3.0),
}


@dataclass(frozen=True, kw_only=True)
class AdaptiveSolver(Spec):
    """An embedded Runge-Kutta pair of diffrax with a controlled step size.

    The error of a step is measured relative to ``atol + rtol |y|``. Its norm is the largest root
    mean square over the leaves of the state, so that a number beside an image is not averaged away.
    Pairs of order 5 hold it to a fraction of the tolerance, so that the root mean square error of
    samples is about the tolerance.
    """

    rtol: Positive = 1e-5
    """Relative tolerance."""
    atol: Positive = 1e-5
    """Absolute tolerance."""
    max_steps: Steps = 4096
    """Steps, rejected ones included, after which a solve is given up."""
    method: Method = "dopri5"
    """The pair. Bogacki-Shampine 3(2) saves evaluations of samples at tolerances above 1e-3."""

    def solve(
        self,
        vector_field: VectorField,
        y0: PyTree,
        t0: Array,
        t1: Array,
        first_step: Array | float = _FIRST_STEP,
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
          first_step: the length of the first trial step.

        Raises:
          ValueError: if it is differentiated in forward mode.
        """
        method, evaluations, strictness = _METHODS[self.method]
        with jax.default_matmul_precision("highest"), reverse_mode_only():
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, y, _: vector_field(t, y)),
                method(),
                t0,
                t1,
                dt0=None,
                y0=y0,
                stepsize_controller=StepSize(
                    rtol=self.rtol / strictness,
                    atol=self.atol / strictness,
                    factormax=_LARGEST_GROWTH,
                    dtmin=_SMALLEST_STEP,
                    force_dtmin=False,
                    norm=_largest_root_mean_square,
                    first_step=jnp.asarray(first_step, jnp.result_type(t0)),
                ),
                saveat=diffrax.SaveAt(t1=True, controller_state=True),
                max_steps=self.max_steps,
                throw=False,
            )
        y: PyTree = jax.tree.map(lambda leaf: leaf[0], solution.ys)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(y)]).all()
        succeeded = solution.result == diffrax.RESULTS.successful
        nfe = 1 + evaluations * solution.stats["num_steps"] + solution.controller_state[2]
        return FlowSolution(y, nfe, jnp.logical_and(succeeded, finite))

    def solve_through(
        self,
        vector_field: VectorField,
        y0: PyTree,
        times: Float[Array, "times"],
        first_steps: Float[Array, "times-1"] | float = _FIRST_STEP,
    ) -> FlowSolution:
        """Integrates from the first of ``times`` to the last and stops at each between them.

        Returns the states at all of ``times``, stacked; the first is ``y0``.
        """

        def leg(y: PyTree, ends: tuple[Array, Array, Array]) -> tuple[PyTree, FlowSolution]:
            solution = self.solve(vector_field, y, *ends)
            return solution.y, solution

        first_steps = jnp.broadcast_to(first_steps, times[1:].shape)
        with reverse_mode_only():
            _, legs = jax.lax.scan(leg, y0, (times[:-1], times[1:], first_steps))
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
    """The step size control of Hairer et al. 1993, sec. II.4, as in scipy.

    The next step is ``safety error^(-icoeff / order)`` times the last one, also if that makes it
    shorter after an accepted step, and it does not grow after a rejected one. diffrax repeats the
    length of an accepted step whose error was close to the tolerance, and many such steps are
    rejected.

    The first trial step is ``first_step``. If it were the ``dt0`` of the solve, a host callback
    would check its sign, and a host callback cannot be lowered for a TPU. Without either, the first
    step of diffrax is .01, whatever the field.
    """

    first_step: Any = None

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
        return t0 + self.first_step, (jnp.asarray(False), jnp.asarray(True), jnp.asarray(0))

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        """Returns whether the step is kept, the next step, and the state after it."""

        def relative(y: Array, next_y: Array, error: Array) -> Array:
            return error / (self.atol + self.rtol * jnp.maximum(jnp.abs(y), jnp.abs(next_y)))

        error = self.norm(jax.tree.map(relative, y0, y1_candidate, y_error))
        error = jax.lax.stop_gradient(error)
        keep, finite = error < 1, jnp.isfinite(error)
        factor = self.safety * jnp.where(finite, error, 1.0) ** (-self.icoeff / error_order)
        after_rejection, at_start, repeated = controller_state
        most = jnp.where(after_rejection, 1.0, self.factormax)
        factor = jnp.where(finite, jnp.clip(factor, self.factormin, most), self.factormin)
        length = (t1 - t0) * factor.astype(t1.dtype)
        start = jnp.where(keep, t1, t0)
        result = diffrax.RESULTS.where(
            length < self.dtmin, diffrax.RESULTS.dt_min_reached, diffrax.RESULTS.successful
        )
        # diffrax evaluates the slope at the start anew after each first step that is rejected.
        state = ~keep, at_start & ~keep, repeated + (at_start & ~keep)
        return keep, start, start + length, False, state, result


def _largest_root_mean_square(error: PyTree) -> Array:
    squares = [jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(error)]
    return jnp.sqrt(jnp.stack(squares).max())
