"""The samplers by the names that the command line gives them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sde_jax.ode import AdaptiveSolver
from sde_jax.sampling import (
    DDIM,
    AdaptiveReversal,
    Ancestral,
    Churn,
    EulerMaruyama,
    ExponentialAdams,
    Heun,
    KarrasGrid,
    Langevin,
    LogSNRGrid,
    Predictor,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    Sampler,
    StochasticMethod,
    TimeGrid,
    UniformGrid,
    check_eta,
)

SamplerName = Literal[
    "em",
    "reverse-diffusion",
    "ancestral",
    "pc",
    "ode",
    "published",
    "ddim",
    "heun",
    "dpm++2m",
    "dpm++3m",
    "unipc",
    "sde-dpm++2m",
    "shark",
    "sra1",
    "gotta-go-fast",
]
GridName = Literal["uniform", "log-snr", "karras"]

TITLES: dict[SamplerName, str] = {
    "em": "Euler-Maruyama",
    "reverse-diffusion": "reverse diffusion",
    "ancestral": "ancestral",
    "pc": "predictor-corrector",
    "ode": "probability flow",
    "published": "as published",
    "ddim": "DDIM",
    "heun": "Heun",
    "dpm++2m": "DPM-Solver++ 2M",
    "dpm++3m": "DPM-Solver++ 3M",
    "unipc": "UniPC",
    "sde-dpm++2m": "SDE-DPM-Solver++ 2M",
    "shark": "ShARK",
    "sra1": "SRA1",
    "gotta-go-fast": "adaptive Euler and Heun",
}

OPTIONS: Mapping[SamplerName, tuple[str, ...]] = {
    "em": ("steps",),
    "reverse-diffusion": ("steps",),
    "ancestral": ("steps",),
    "pc": ("steps", "snr"),
    "ode": ("tolerance",),
    "published": (),
    "ddim": ("steps", "grid", "eta"),
    "heun": ("steps", "grid", "churn"),
    "dpm++2m": ("steps", "grid"),
    "dpm++3m": ("steps", "grid"),
    "unipc": ("steps", "grid"),
    "sde-dpm++2m": ("steps", "grid"),
    "shark": ("tolerance",),
    "sra1": ("tolerance",),
    "gotta-go-fast": ("tolerance",),
}
"""The settings that each sampler has."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "ddim": {"steps": 50},
    "heun": {"steps": 17, "grid": "karras"},
    "dpm++2m": {"steps": 20},
    "dpm++3m": {"steps": 20},
    "unipc": {"steps": 20},
    "sde-dpm++2m": {"steps": 50},
    "shark": {"tolerance": 0.05},
    "sra1": {"tolerance": 0.05},
    "gotta-go-fast": {"tolerance": 0.05},
}
"""What those that an experiment's settings are not made for have instead of them."""


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How `sample` draws, unless told otherwise."""

    sampler: SamplerName = "em"
    """em: Euler-Maruyama; reverse-diffusion and ancestral: these predictors; pc: reverse diffusion
    with a Langevin corrector; ode: adaptive probability flow; published: of a published model,
    predictor, corrector and steps by the published rules, whatever the settings here; ddim, heun,
    dpm++2m, dpm++3m, unipc, sde-dpm++2m: in few evaluations; shark, sra1, gotta-go-fast: the
    reversed SDE, adaptively."""
    steps: int = 1000
    """Steps of the grid; all samplers but the adaptive ones."""
    snr: float = 0.16
    """Signal-to-noise ratio of the Langevin corrector; pc only."""
    tolerance: float = 1e-5
    """Relative and absolute tolerance of a solver step; adaptive samplers only."""
    grid: GridName = "log-snr"
    """Where the steps lie: uniform in time or in log signal-to-noise ratio, or as Karras et al.
    2022 have them; samplers in few evaluations only."""
    eta: float = 0.0
    """Noise: 0 is none, 1 that of ancestral sampling; ddim only."""
    churn: float = 0.0
    """Noise to add and take out, S_churn of Karras et al. 2022; heun only."""

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ValueError(
                f"`sampler` must be one of {', '.join(get_args(SamplerName))}: got {self.sampler}."
            )
        for field in ("steps", "snr", "tolerance"):
            value = getattr(self, field)
            if not 0 < value < math.inf:
                raise ValueError(f"`{field}` must be positive and finite: got {field}={value}.")
        if self.grid not in get_args(GridName):
            raise ValueError(
                f"`grid` must be one of {', '.join(get_args(GridName))}: got {self.grid}."
            )
        check_eta(self.eta)
        if not 0 <= self.churn < math.inf:
            raise ValueError(f"`churn` must be finite and not negative: got churn={self.churn}.")

    def build(self, frames: int = 0) -> Sampler:
        """The sampler so described, keeping ``frames`` states on the way."""
        if self.sampler == "ode":
            solver = AdaptiveSolver(rtol=self.tolerance, atol=self.tolerance)
            return ProbabilityFlow(solver=solver, frames=frames)
        if self.sampler in ("shark", "sra1", "gotta-go-fast"):
            return self._stochastic(frames)
        orders = {"dpm++2m": 2, "dpm++3m": 3, "unipc": 3, "sde-dpm++2m": 2}
        if self.sampler in orders:
            return ExponentialAdams(
                grid=self._grid(),
                order=orders[self.sampler],
                corrected=self.sampler == "unipc",
                eta=float(self.sampler == "sde-dpm++2m"),
                frames=frames,
            )
        corrector = Langevin(snr=self.snr) if self.sampler == "pc" else None
        grid = self._grid() if "grid" in OPTIONS[self.sampler] else UniformGrid(steps=self.steps)
        return PredictorCorrector(
            grid=grid, predictor=self._predictor(), corrector=corrector, frames=frames
        )

    def options(self) -> dict[str, Any]:
        """The settings that the sampler has."""
        return {name: getattr(self, name) for name in OPTIONS[self.sampler]}

    def _grid(self) -> TimeGrid:
        grids: dict[GridName, Callable[..., TimeGrid]] = {
            "uniform": UniformGrid,
            "log-snr": LogSNRGrid,
            "karras": KarrasGrid,
        }
        return grids[self.grid](steps=self.steps)

    def _predictor(self) -> Predictor:
        # The paper counts the denoising as a step.
        growth = min(self.churn / (self.steps + 1), math.sqrt(2) - 1)
        predictors: dict[str, Predictor] = {
            "em": EulerMaruyama(),
            "pc": ReverseDiffusion(),
            "reverse-diffusion": ReverseDiffusion(),
            "ancestral": Ancestral(),
            "ddim": DDIM(eta=self.eta),
            "heun": Heun(churn=Churn(growth=growth) if growth else None),
        }
        return predictors[self.sampler]

    def _stochastic(self, frames: int) -> Sampler:
        methods: dict[str, StochasticMethod] = {
            "shark": "shark",
            "sra1": "sra1",
            "gotta-go-fast": "heun",
        }
        return AdaptiveReversal(
            method=methods[self.sampler],
            rtol=self.tolerance,
            atol=self.tolerance,
            frames=frames,
        )
