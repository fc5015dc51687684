"""Adaptive solves of the probability flow, each example with its own step size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, PyTree
from sde_jax.score.queue import run_in_lanes
from sde_jax.sde.base import LinearSDE

VectorField = Callable[[Any, PyTree], PyTree]

# Of a time interval of about 1. A field that is not finite ends here after a dozen rejected steps,
# not after `max_steps` of them.
_SMALLEST_STEP = 1e-9
_SHORTEST_FIRST_STEP = 1e-6
# From one step to the next. Near the prior the drift nearly cancels and its error is rounding, on
# which the steps, and through them the result, hang if they may grow by diffrax's ten at once.
_LARGEST_GROWTH = 3.0


class FlowSolution(NamedTuple):
    """The end state of a solve, or the states at the times asked for, and what it cost."""

    y: PyTree
    nfe: Int[Array, ""]
    """Evaluations of the vector field, as made."""
    converged: Bool[Array, ""]
    """False if the solver gave up: step limit reached, step size vanished, or not finite."""


Method = Literal["bosh3", "dopri5", "tsit5"]
# With evaluations for each step: the last stage of each is the first of the next step.
METHODS: dict[str, tuple[type[diffrax.AbstractERK], int]] = {
    "bosh3": (diffrax.Bosh3, 3),
    "dopri5": (diffrax.Dopri5, 6),
    "tsit5": (diffrax.Tsit5, 6),
}


@dataclass(frozen=True, kw_only=True)
class AdaptiveSolver:
    """An embedded Runge-Kutta pair with a PID-controlled step, as diffrax implements them.

    The error of one step is measured relative to ``atol + rtol |y|``, by the largest root mean
    square over the leaves of the state, so that a number beside an image is not averaged away.

    Raises:
      ValueError: unless both tolerances and ``max_steps`` are positive, and the method is known.
    """

    rtol: float = 1e-5
    """Relative tolerance of one step."""
    atol: float = 1e-5
    """Absolute tolerance of one step."""
    max_steps: int = 4096
    """Steps, rejected ones included, after which a solve is given up."""
    method: Method = "tsit5"
    """The pair: Tsitouras 5(4), for exact scores and small errors; Bogacki-Shampine 3(2) or
    Dormand-Prince 5(4), of which networks, whose flow is rough, ask fewer evaluations for an error
    of .001 bits per dimension."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            names = ", ".join(METHODS)
            raise ValueError(f"`method` must be one of {names}: got method={self.method!r}.")
        for name in ("rtol", "atol", "max_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive: got {name}={getattr(self, name)}.")

    def solve(
        self,
        vector_field: VectorField,
        y0: PyTree,
        t0: Array,
        t1: Array,
        first_step: Array | None = None,
    ) -> FlowSolution:
        """Integrates one example's ``dy/dt = vector_field(t, y)`` from ``t0`` to ``t1``.

        Everything inside runs at the highest matmul precision, whatever the device's default:
        rounding to fewer bits would look like an error of the step. Failures are reported in the
        result, never raised: a host callback could not be lowered for a TPU. Map it over examples
        with `jax.vmap`.

        Args:
          vector_field: the right-hand side, of a scalar time and the state.
          y0: the state at ``t0``, a pytree of arrays.
          t0: where to begin.
          t1: where to end, before or after ``t0``.
          first_step: the length of the first step that is tried; None lets diffrax guess it.
        """
        method, evaluations = METHODS[self.method]
        with jax.default_matmul_precision("highest"):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, y, _: vector_field(t, y)),
                method(),
                t0,
                t1,
                dt0=None,
                y0=y0,
                stepsize_controller=self._controller(first_step),
                max_steps=self.max_steps,
                throw=False,
            )
        y: PyTree = jax.tree.map(lambda leaf: leaf[0], solution.ys)
        succeeded = solution.result == diffrax.RESULTS.successful
        nfe = 1 + evaluations * solution.stats["num_steps"]
        return FlowSolution(y, nfe, jnp.logical_and(succeeded, _finite(y)))

    def solve_each(
        self,
        vector_field: Callable[[Any, PyTree, PyTree], PyTree],
        y0: PyTree,
        examples: PyTree,
        t0: Array,
        t1: Array,
        first_step: Array,
        *,
        lanes: int,
    ) -> FlowSolution:
        """Integrates ``dy/dt = vector_field(t, y, example)`` of each of many, as `solve` does.

        ``lanes`` examples are solved at once, by diffrax's steps and step sizes, and one that is
        done makes room for the next, so that few lanes idle while the slowest ends.

        Args:
          vector_field: the right-hand side, of a scalar time, the state and what there is to know
            of the example.
          y0: the states at ``t0``, a row for each example.
          examples: what the vector field is told, a row for each example.
          t0: where to begin.
          t1: where to end, after ``t0``.
          first_step: the length of the first step that is tried.
          lanes: examples at once; at most all.
        """
        method, evaluations = METHODS[self.method]
        lane = _Stepping(
            vector_field=vector_field,
            t0=t0,
            t1=t1,
            solver=method(),
            controller=self._controller(first_step).wrap(1),
            evaluations=evaluations,
            max_steps=self.max_steps,
        )
        with jax.default_matmul_precision("highest"):
            return run_in_lanes(
                lane.begin, lane.step, lane.done, lane.solution, (y0, examples), lanes=lanes
            )

    def _controller(self, first_step: Array | None) -> diffrax.AbstractStepSizeController:
        controller = diffrax.PIDController(
            rtol=self.rtol,
            atol=self.atol,
            factormax=_LARGEST_GROWTH,
            dtmin=_SMALLEST_STEP,
            force_dtmin=False,
            norm=_largest_root_mean_square,
        )
        return controller if first_step is None else _FromFirstStep(controller, first_step)

    def solve_through(
        self, vector_field: VectorField, y0: PyTree, times: Float[Array, "times"]
    ) -> FlowSolution:
        """Integrates from the first of ``times`` through each to the last, stopping at each.

        Returns the states at all of ``times``, stacked, the first being ``y0``.
        """

        def leg(y: PyTree, ends: tuple[Array, Array]) -> tuple[PyTree, FlowSolution]:
            solution = self.solve(vector_field, y, *ends)
            return solution.y, solution

        _, legs = jax.lax.scan(leg, y0, (times[:-1], times[1:]))
        states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), y0, legs.y)
        return FlowSolution(states, legs.nfe.sum(), legs.converged.all())


class _Lane(NamedTuple):
    """An example on its way."""

    t: Array
    next_t: Array
    """Where the next step is to end."""
    y: PyTree
    slope: PyTree
    """The vector field here, the last stage of the step before."""
    control: PyTree
    """What the step size controller remembers."""
    steps: Int[Array, ""]
    gave_up: Bool[Array, ""]


@dataclass(frozen=True, kw_only=True)
class _Stepping:
    """How an example goes on, as in diffrax's own loop."""

    vector_field: Callable[[Any, PyTree, PyTree], PyTree]
    t0: Array
    t1: Array
    solver: diffrax.AbstractERK
    controller: diffrax.AbstractStepSizeController
    evaluations: int
    max_steps: int

    def begin(self, given: tuple[PyTree, PyTree]) -> _Lane:
        y, example = given
        term, order = self._equation(example)
        next_t, control = self.controller.init(
            term, self.t0, self.t1, y, None, None, self.solver.func, order
        )
        return _Lane(
            t=self.t0,
            next_t=jnp.minimum(jnp.asarray(next_t), self.t1),
            y=y,
            slope=self.vector_field(self.t0, y, example),
            control=control,
            steps=jnp.zeros((), int),
            gave_up=jnp.zeros((), bool),
        )

    def step(self, lane: _Lane, given: tuple[PyTree, PyTree]) -> _Lane:
        term, order = self._equation(given[1])
        # The state of an explicit method: that this is not the first step, and its slope.
        known = (jnp.zeros((), bool), lane.slope)
        y, error, _, (_, slope), _ = self.solver.step(
            term, lane.t, lane.next_t, lane.y, None, known, False
        )
        error = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error)
        kept, t, next_t, _, control, result = self.controller.adapt_step_size(
            lane.t, lane.next_t, lane.y, y, None, error, order, lane.control
        )
        y, slope = jax.tree.map(
            lambda new, old: jnp.where(kept, new, old), (y, slope), (lane.y, lane.slope)
        )
        steps, t = lane.steps + 1, jnp.minimum(t, self.t1)
        lost = (result != diffrax.RESULTS.successful) | (steps >= self.max_steps)
        gave_up = lost & (t < self.t1)
        return _Lane(t, jnp.minimum(next_t, self.t1), y, slope, control, steps, gave_up)

    def done(self, lane: _Lane) -> Bool[Array, ""]:
        return (lane.t >= self.t1) | lane.gave_up

    def solution(self, lane: _Lane) -> FlowSolution:
        converged = jnp.logical_and(~lane.gave_up, _finite(lane.y))
        return FlowSolution(lane.y, 1 + self.evaluations * lane.steps, converged)

    def _equation(self, example: PyTree) -> tuple[diffrax.ODETerm, Any]:
        """The term, and the order of its error."""
        term = diffrax.ODETerm(lambda t, y, _: self.vector_field(t, y, example))
        return term, self.solver.error_order(term)


def _finite(y: PyTree) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(y)]).all()


class _FromFirstStep(diffrax.AbstractStepSizeController):
    """A controller that begins with a given step.

    As ``dt0`` of the solve, its sign would be checked by a host callback, which does not lower.
    """

    controller: diffrax.AbstractStepSizeController
    step: Array

    def wrap(self, direction: Any) -> "_FromFirstStep":
        return _FromFirstStep(self.controller.wrap(direction), self.step)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: None, *rest: Any) -> Any:
        return self.controller.init(terms, t0, t1, y0, self.step, *rest)

    def adapt_step_size(self, *step: Any) -> Any:
        return self.controller.adapt_step_size(*step)


def data_end_step(sde: LinearSDE, t: Array) -> Array:
    """A first step away from data at time ``t``: in it log(sigma / alpha) would change by one.

    Noise grows there on the scale of t itself. A guess from drifts overlooks that, and so may the
    error estimate of a step as long as it: at a tolerance of 1e-3 it cost .06 bits per dimension.
    """
    growth = jax.grad(lambda t: jnp.log(sde.noise_to_signal(t)))(t)
    return jnp.maximum(jnp.nan_to_num(1 / growth), _SHORTEST_FIRST_STEP)


def _largest_root_mean_square(error: PyTree) -> Array:
    squares = [jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(error)]
    return jnp.sqrt(jnp.stack(squares).max())
