"""Results of likelihoods."""

from typing import NamedTuple

from sde_jax.arrays import Array, Bool, Int, PerExample


class LogLikelihoods(NamedTuple):
    """Log densities of examples in model coordinates, with their errors and costs."""

    nats: PerExample
    """``log p(x)`` at t_min, averaged over the probes."""
    probe_stderr: PerExample | None
    """Standard error of ``nats`` over the probes: 0 for an exact trace, None for one probe."""
    nfe: Int[Array, "batch"]
    """Evaluations of the score, each with its Jacobian-vector products."""
    converged: Bool[Array, "batch"]
    """False where the solver gave up; ``nats`` is then meaningless."""
    draw_stderr: PerExample | None = None
    """Standard error of ``nats`` over draws of dequantization or noise; None for a single draw."""
