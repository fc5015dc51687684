"""Solvers of ordinary differential equations: adaptive Runge-Kutta pairs and Adams coefficients."""

from sde_jax.ode.adams import AdamsTable, adams_table, combine
from sde_jax.ode.adaptive import AdaptiveSolver, FlowSolution, Method, data_end_step

__all__ = [
    "AdamsTable",
    "AdaptiveSolver",
    "FlowSolution",
    "Method",
    "adams_table",
    "combine",
    "data_end_step",
]
