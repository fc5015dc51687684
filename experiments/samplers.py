"""The samplers by the names that the command line gives them."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sde_jax.sampling import (
    Ancestral,
    EulerMaruyama,
    Langevin,
    Predictor,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    Sampler,
    UniformGrid,
)
from sde_jax.score import AdaptiveSolver

SamplerName = Literal["em", "reverse-diffusion", "ancestral", "pc", "ode", "published"]

TITLES: dict[SamplerName, str] = {
    "em": "Euler-Maruyama",
    "reverse-diffusion": "reverse diffusion",
    "ancestral": "ancestral",
    "pc": "predictor-corrector",
    "ode": "probability flow",
    "published": "as published",
}


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How `sample` draws, unless told otherwise."""

    sampler: SamplerName = "em"
    """em: Euler-Maruyama; reverse-diffusion and ancestral: these predictors; pc: reverse diffusion
    with a Langevin corrector; ode: adaptive probability flow; published: of a published model,
    predictor, corrector and steps by the published rules, whatever the settings here."""
    steps: int = 1000
    """Steps of the grid; all samplers but ode."""
    snr: float = 0.16
    """Signal-to-noise ratio of the Langevin corrector; pc only."""
    tolerance: float = 1e-5
    """Relative and absolute tolerance of a solver step; ode only."""

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ValueError(
                f"`sampler` must be one of {', '.join(get_args(SamplerName))}: got {self.sampler}."
            )
        for field in ("steps", "snr", "tolerance"):
            value = getattr(self, field)
            if not 0 < value < math.inf:
                raise ValueError(f"`{field}` must be positive and finite: got {field}={value}.")

    def build(self, frames: int = 0) -> Sampler:
        """The sampler so described, keeping ``frames`` states on the way."""
        if self.sampler == "ode":
            solver = AdaptiveSolver(rtol=self.tolerance, atol=self.tolerance)
            return ProbabilityFlow(solver=solver, frames=frames)
        grid = UniformGrid(steps=self.steps)
        if self.sampler == "pc":
            corrector = Langevin(snr=self.snr)
            return PredictorCorrector(
                grid=grid, predictor=ReverseDiffusion(), corrector=corrector, frames=frames
            )
        predictors: dict[str, Predictor] = {
            "em": EulerMaruyama(),
            "reverse-diffusion": ReverseDiffusion(),
            "ancestral": Ancestral(),
        }
        return PredictorCorrector(grid=grid, predictor=predictors[self.sampler], frames=frames)
