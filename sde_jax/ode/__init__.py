"""Solvers of ordinary differential equations: adaptive Runge-Kutta pairs and Adams coefficients."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.ode.adams import (
        AdamsTable as AdamsTable,
        adams_table as adams_table,
        combine as combine,
    )
    from sde_jax.ode.adaptive import (
        AdaptiveSolver as AdaptiveSolver,
        FlowSolution as FlowSolution,
        StepSize as StepSize,
        reverse_mode_only as reverse_mode_only,
    )
    from sde_jax.ode.methods import Method as Method
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
