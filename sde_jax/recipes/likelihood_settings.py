"""Settings of the likelihood of a score model."""

from dataclasses import dataclass
from typing import Annotated

from sde_jax import likelihood, ode
from sde_jax.ode.methods import Method
from sde_jax.validation import BelowOne, Positive, Spec, at_least, at_most

LEAST_STEPS = 8
"""Least number of fixed steps of a likelihood."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodSettings(Spec):
    """Defaults of `likelihood`."""

    t_min: BelowOne = 1e-5
    """Time at which the flow starts, in [0, 1)."""
    tolerance: Positive = 1e-5
    """Relative and absolute tolerance of a solver step."""
    method: Method = "tsit5"
    """Runge-Kutta pair of the solver. bosh3 needs fewer evaluations for an error of .001 bits."""
    probes: Annotated[int, at_least(1), at_most(10**4)] = 1
    """Hutchinson probes for each example. Two or more give its standard error."""

    def build(self) -> "likelihood.Likelihood":
        """Builds the likelihood."""
        solver = ode.AdaptiveSolver(rtol=self.tolerance, atol=self.tolerance, method=self.method)
        divergence = likelihood.Hutchinson(probes=self.probes)
        return likelihood.Likelihood(solver=solver, t_min=self.t_min, divergence=divergence)
