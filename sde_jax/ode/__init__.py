"""Solvers of ordinary differential equations: adaptive Runge-Kutta pairs and Adams coefficients."""

from sde_jax.ode.adams import (
    AdamsTable as AdamsTable,
    adams_table as adams_table,
    combine as combine,
)
from sde_jax.ode.adaptive import (
    AdaptiveSolver as AdaptiveSolver,
    FlowSolution as FlowSolution,
    Method as Method,
    StepSize as StepSize,
    reverse_mode_only as reverse_mode_only,
)
