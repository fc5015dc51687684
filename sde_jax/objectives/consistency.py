"""Consistency in continuous time: the loss of students that jump to the data."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, PerExample, PyTree, as_examples, expand_like
from sde_jax.objectives.denoising import draw_noise
from sde_jax.objectives.time_sampling import LogNormalNoise, TimeSampler
from sde_jax.randomness import Seeds
from sde_jax.score import NetworkScore, Score, ScoreModel, TrigFlow
from sde_jax.sde.base import Time
from sde_jax.validation import Positive, Spec


@dataclass(frozen=True, kw_only=True)
class Consistency(Spec):
    """Continuous-time consistency (Lu and Song 2024, arXiv:2410.11081, sec. 4).

    A student ``f(z, u) = cos(u) z - sin(u) F(z, u)`` in the coordinates of `TrigFlow` is the map
    from a state to the data at the end of its trajectory if f is constant along trajectories::

        df/du = cos(u) (dz/du - F) - sin(u) (z + dF/du)

    where ``dF/du``, along the trajectory, is one Jacobian-vector product in forward mode. The
    velocity dz/du is that of a teacher or, without one, its unbiased estimate ``cos(u) noise -
    sin(u) x_0 / d``. The loss is ``|F - sg(F + g / (|g| + c))|^2 / D`` with ``g = cos(u) df/du``,
    |g| its root mean square, c = 0.1 and sg without a gradient. It lies in [0, 1), and is smaller
    the more consistent the student is.
    """

    model: ScoreModel
    """Model of the student. Its posterior mean is read as the map to the data."""
    deviation: Positive = 0.5
    """Standard deviation d of the data."""
    times: TimeSampler = LogNormalNoise(mean=0.0, deviation=2.0)

    @property
    def flow(self) -> TrigFlow:
        """The coordinates of the loss."""
        return TrigFlow(sde=self.model.sde, deviation=self.deviation)

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Examples,
        teacher: Score | None = None,
        share: Float[Array, ""] | float = 1.0,
    ) -> PerExample:
        """Returns the loss of each example at its own random time and noise.

        Args:
          params: the student's parameters.
          seeds: determine times and noise.
          x0: examples, in model coordinates.
          teacher: the score whose flow the student is to follow; None for the data alone.
          share: the share of the second term of df/du, which grows from 0 to 1 in training. With 0
            the loss is a regression of F on the velocity.
        """
        x0 = as_examples("x0", x0)
        times, noise, _ = draw_noise(self.model, self.times, seeds, x0, deterministic=True)
        angle, clean = self.flow.angle(times.t), x0 / self.deviation
        cos, sin = (expand_like(of(angle), x0) for of in (jnp.cos, jnp.sin))
        z, slope = cos * clean + sin * noise, cos * noise - sin * clean
        if teacher is not None:
            slope = self.flow.velocity(teacher, z, angle)
        return times.importance * self.losses_at(params, z, angle, slope, share)

    def losses_at(
        self,
        params: PyTree,
        z: Examples,
        angle: Time,
        slope: Examples,
        share: Float[Array, ""] | float = 1.0,
    ) -> PerExample:
        """Returns the loss of each example at given states, angles and velocities dz/du."""
        velocity, tangent = self.tangent(params, z, angle, slope, share)
        size = jnp.sqrt((tangent**2).reshape(len(z), -1).mean(axis=1))
        step = jax.lax.stop_gradient(tangent / expand_like(size + 0.1, z))
        error = velocity - jax.lax.stop_gradient(velocity) - step
        return (error**2).reshape(len(z), -1).mean(axis=1)

    def tangent(
        self,
        params: PyTree,
        z: Examples,
        angle: Time,
        slope: Examples,
        share: Float[Array, ""] | float = 1.0,
    ) -> tuple[Examples, Examples]:
        """Returns F and ``cos(u) df/du``, whose second term is multiplied by ``share``."""
        cos, sin = jnp.cos(angle), jnp.sin(angle)

        def student(z: Examples, angle: Time) -> Examples:
            return self.flow.velocity(NetworkScore(params, self.model), z, angle)

        # The direction is short where angles crowd near the prior: dF/du alone could overflow.
        pace = cos * sin
        direction = (expand_like(pace, z) * slope, pace)
        velocity, change = jax.jvp(student, (z, angle), direction)
        cos, pace = expand_like(cos, z), expand_like(pace, z)
        return velocity, cos**2 * (slope - velocity) - share * (pace * z + change)
