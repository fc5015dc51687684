"""Settings of the likelihood of a score model."""

from dataclasses import dataclass
from typing import Annotated, Literal

from sde_jax import likelihood, ode
from sde_jax.ode.methods import Method
from sde_jax.validation import Only, Positive, Rule, Spec, at_least, at_most

Protocol = Literal["uniform", "truncated", "variational", "score-bound", "ddpm-bound"]

BY_FLOW = ("uniform", "truncated", "variational")
"""Protocols that measure densities of the probability flow."""

LEAST_STEPS = 8
"""Least number of fixed steps of a likelihood."""

_OF_FLOW = Only("`protocol` is uniform, truncated or variational", lambda spec: by_flow(spec))
_EARLIEST = 1e-5


def by_flow(settings: "FlowSettings") -> bool:
    """Returns whether densities are those of the probability flow."""
    return getattr(settings, "protocol", "uniform") in BY_FLOW


@dataclass(frozen=True, kw_only=True)
class FlowSettings(Spec):
    """Defaults of the density of a probability flow."""

    t_min: Annotated[
        float | None,
        Rule("be in [0, 1)", lambda value: 0 <= value < 1),
        Only("`protocol` is not ddpm-bound", lambda s: getattr(s, "protocol", "") != "ddpm-bound"),
    ] = None
    """Time at which the flow starts, in [0, 1). By default 1e-5; for undequantized levels with the
    noise of truncated or variational where sigma / alpha is 1 / (3 L), for L grey levels."""
    tolerance: Annotated[Positive, _OF_FLOW] = 1e-5
    """Relative and absolute tolerance of a solver step."""
    method: Annotated[Method, _OF_FLOW] = "tsit5"
    """Runge-Kutta pair of the solver."""
    trace: Annotated[Literal["hutchinson", "exact"], _OF_FLOW] = "hutchinson"
    """hutchinson: the divergence by random probes. exact: itself, by a product for each dimension,
    for few dimensions."""
    probes: Annotated[
        int,
        at_least(1),
        at_most(10**4),
        _OF_FLOW,
        Only("`trace` is hutchinson", lambda spec: spec.trace == "hutchinson"),
    ] = 1
    """Hutchinson probes for each example. Two or more give its standard error."""

    def build(self, t_min: float | None = None) -> "likelihood.Likelihood":
        """Builds the likelihood from ``t_min``, by default that of the settings."""
        solver = ode.AdaptiveSolver(rtol=self.tolerance, atol=self.tolerance, method=self.method)
        start = self.start if t_min is None else t_min
        return likelihood.Likelihood(solver=solver, t_min=start, divergence=self.divergence)

    @property
    def divergence(self) -> "likelihood.Divergence":
        """The estimate of the divergence."""
        if self.trace == "exact":
            return likelihood.ExactTrace()
        return likelihood.Hutchinson(probes=self.probes)

    @property
    def start(self) -> float:
        """The time at which the flow starts unless the protocol says otherwise."""
        return _EARLIEST if self.t_min is None else self.t_min


@dataclass(frozen=True, kw_only=True)
class LikelihoodSettings(FlowSettings):
    """Defaults of `likelihood`."""

    protocol: Protocol = "uniform"
    """How data are measured. uniform: the density of data with uniform noise. truncated: a bound
    on the probability of grey levels, by the process's own noise, for models that were trained
    without dequantization. variational: a bound on it for any model, by noise that a dequantizer
    has learned. score-bound: a bound by the denoising loss. ddpm-bound: the bound of the chain of
    DDPM, for VP."""
    dequantizer: Annotated[
        str | None, Only("`protocol` is variational", lambda spec: spec.protocol == "variational")
    ] = None
    """The run of the dequantizer of variational, such as that of `train digits_dequantizer`: a
    path, or the name of a run in the same folder."""
    samples: Annotated[
        int,
        at_least(1),
        at_most(10**4),
        Only("`protocol` is not ddpm-bound", lambda spec: spec.protocol != "ddpm-bound"),
    ] = 1
    """Draws of noise for each example. With uniform, truncated and variational more draws tighten
    the bound on the probability of grey levels, with score-bound they lower its variance."""
