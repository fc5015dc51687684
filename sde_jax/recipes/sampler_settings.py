"""The table of samplers, and the settings that choose one."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn, Self

from sde_jax import ode, sampling
from sde_jax.validation import FINITE, ComputeDtype, Spec, UnitInterval, at_most, require

GridName = Literal["auto", "fitted", "uniform", "log-snr", "karras"]

MOST_FITTED = 12
"""Most steps that are fitted to the network by default."""
LEAST_ROUNDED = 1e-3
"""Least tolerance of adaptive samplers whose network is rounded."""

GRIDS: Mapping[GridName, Callable[..., "sampling.TimeGrid"]] = {
    "auto": lambda *, steps: sampling.LogSNRGrid(steps=steps),
    # Until a run fits its times.
    "fitted": lambda *, steps: sampling.LogSNRGrid(steps=steps),
    "uniform": lambda *, steps: sampling.UniformGrid(steps=steps),
    "log-snr": lambda *, steps: sampling.LogSNRGrid(steps=steps),
    "karras": lambda *, steps: sampling.KarrasGrid(steps=steps),
}


class SamplerEntry(NamedTuple):
    """A sampler of the table: its title and the function that builds it.

    The parameters of ``factory`` are the sampler's options. An option without a default takes the
    value of the experiment's settings. An option with a default takes it only if the settings are
    for this sampler.
    """

    title: str
    factory: Callable[..., Any]

    @property
    def options(self) -> Mapping[str, inspect.Parameter]:
        """The sampler's options by their names."""
        return inspect.signature(self.factory).parameters


SAMPLERS: Mapping[str, SamplerEntry] = {
    "em": SamplerEntry(
        "Euler-Maruyama", lambda *, steps: stepping(steps, sampling.EulerMaruyama())
    ),
    "reverse-diffusion": SamplerEntry(
        "reverse diffusion", lambda *, steps: stepping(steps, sampling.ReverseDiffusion())
    ),
    "ancestral": SamplerEntry("ancestral", lambda *, steps: stepping(steps, sampling.Ancestral())),
    "pc": SamplerEntry(
        "predictor-corrector",
        lambda *, steps, snr: stepping(
            steps, sampling.ReverseDiffusion(), corrector=sampling.Langevin(snr=snr)
        ),
    ),
    "ode": SamplerEntry("probability flow", lambda *, tolerance: flow(tolerance)),
    "published": SamplerEntry("as published", lambda: refuse_published()),
    "ddim": SamplerEntry(
        "DDIM", lambda *, steps=50, grid="auto", eta: stepping(steps, sampling.DDIM(eta=eta), grid)
    ),
    "heun": SamplerEntry(
        "Heun",
        lambda *, steps=17, grid="karras", churn: stepping(steps, heun(churn, steps), grid),
    ),
    "dpm++2m": SamplerEntry(
        "DPM-Solver++ 2M", lambda *, steps=20, grid="auto": multistep(grid, steps, order=2)
    ),
    "dpm++3m": SamplerEntry(
        "DPM-Solver++ 3M", lambda *, steps=20, grid="auto": multistep(grid, steps, order=3)
    ),
    "unipc": SamplerEntry(
        "UniPC", lambda *, steps=20, grid="auto": multistep(grid, steps, order=3, corrected=True)
    ),
    "sde-dpm++2m": SamplerEntry(
        "SDE-DPM-Solver++ 2M",
        lambda *, steps=50, grid="auto": multistep(grid, steps, order=2, eta=1.0),
    ),
    "shark": SamplerEntry("ShARK", lambda *, tolerance=0.05: adaptive("shark", tolerance)),
    "sra1": SamplerEntry("SRA1", lambda *, tolerance=0.05: adaptive("sra1", tolerance)),
    "gotta-go-fast": SamplerEntry(
        "adaptive Euler and Heun", lambda *, tolerance=0.05: adaptive("heun", tolerance)
    ),
    "consistency": SamplerEntry("consistency", lambda *, steps=2: jumping(steps)),
}
"""Every sampler that settings and commands can name."""

if TYPE_CHECKING:
    SamplerName = str
else:
    SamplerName = Literal[tuple(SAMPLERS)]
"""The name of one of `SAMPLERS`."""


def stepping(
    steps: int,
    predictor: "sampling.Predictor",
    grid: GridName = "uniform",
    corrector: "sampling.Corrector | None" = None,
) -> "sampling.PredictorCorrector":
    """Returns the sampler of single steps on a grid."""
    times = GRIDS[grid](steps=steps)
    return sampling.PredictorCorrector(grid=times, predictor=predictor, corrector=corrector)


def multistep(grid: GridName, steps: int, **options: Any) -> "sampling.ExponentialAdams":
    """Returns the exponential multistep solver on a grid."""
    return sampling.ExponentialAdams(grid=GRIDS[grid](steps=steps), **options)


def heun(churn: float, steps: int) -> "sampling.Heun":
    """Returns Heun's step with the noise of so much churn in all steps."""
    # The paper counts the denoising as a step.
    growth = min(churn / (steps + 1), math.sqrt(2) - 1)
    return sampling.Heun(churn=sampling.Churn(growth=growth) if growth else None)


def adaptive(method: "sampling.StochasticMethod", tolerance: float) -> "sampling.AdaptiveReversal":
    """Returns the adaptive solver of the reversed SDE."""
    return sampling.AdaptiveReversal(method=method, rtol=tolerance, atol=tolerance)


def flow(tolerance: float) -> "sampling.ProbabilityFlow":
    """Returns the adaptive solver of the probability flow."""
    return sampling.ProbabilityFlow(solver=ode.AdaptiveSolver(rtol=tolerance, atol=tolerance))


def jumping(steps: int) -> "sampling.PredictorCorrector":
    """Returns the sampler of students, with one evaluation in each step."""
    grid = sampling.JumpGrid(jumps=steps)
    return sampling.PredictorCorrector(grid=grid, predictor=sampling.Renoise())


def refuse_published() -> NoReturn:
    """Raises ValueError: only the run of a published model has a published sampler."""
    raise ValueError("`sampler` must not be published: the run is of no published model.")


@dataclass(frozen=True, kw_only=True)
class SamplerSettings(Spec):
    """The default sampler of `sample` and its options."""

    sampler: SamplerName = "em"
    """em: Euler-Maruyama; reverse-diffusion, ancestral: these predictors; pc: reverse diffusion
    with a Langevin corrector; ode: adaptive probability flow; published: the sampler of a
    published model and its rules, whatever the other settings; ddim, heun, dpm++2m, dpm++3m, unipc,
    sde-dpm++2m: few evaluations; shark, sra1, gotta-go-fast: adaptive steps of the reversed SDE;
    consistency: jumps to the data and back (students only, which have no other)."""
    steps: Annotated[int, FINITE, at_most(10**6)] = 1000
    """Number of steps (all samplers except adaptive ones)."""
    snr: Annotated[float, FINITE] = 0.16
    """Signal-to-noise ratio of the Langevin corrector (pc only)."""
    tolerance: Annotated[float, FINITE] = 1e-5
    """Relative and absolute tolerance of a solver step (adaptive samplers only)."""
    grid: GridName = "auto"
    """Times of the steps (samplers with few evaluations only): fitted to the network, which takes
    seconds once and is kept in RUN/grids; uniform in time or in log signal-to-noise ratio; those of
    Karras et al. 2022. auto: fitted for score models and samplers without noise in at most 12
    steps, otherwise log-snr."""
    eta: UnitInterval = 0.0
    """Amount of noise: 0 for none, 1 for that of ancestral sampling (ddim only)."""
    churn: float = 0.0
    """Noise that is added and removed, S_churn of Karras et al. 2022 (heun only)."""
    compute_dtype: ComputeDtype = "float32"
    """Type of the network's computation. States and times are float32; times are fitted in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "churn", 0 <= self.churn < math.inf, "be finite and not negative")

    def build(self, **changes: Any) -> "sampling.Sampler":
        """Returns the sampler with ``changes`` of its fields, such as ``frames``.

        Raises:
          ValueError: if it is that of a published model, or as `computing`.
        """
        return self.computing(dataclasses.replace(self.solver(), **changes))

    def solver(self) -> Any:
        """Returns the sampler that computes in float32."""
        return SAMPLERS[self.sampler].factory(**self.options())

    def computing(self, sampler: "sampling.Sampler") -> "sampling.Sampler":
        """Returns the sampler whose network computes in the type of the settings.

        Raises:
          ValueError: if its steps would adapt to the rounding of that type.
        """
        if self.compute_dtype == "float32":
            return sampler
        if "tolerance" in self.options() and self.tolerance < LEAST_ROUNDED:
            raise ValueError(
                f"`tolerance` must be at least {LEAST_ROUNDED} for a network in "
                f"{self.compute_dtype}, whose rounding is larger: got {self.tolerance}."
            )
        return sampling.LowPrecision(sampler=sampler, dtype=self.compute_dtype)

    def resolved(self, *, fits: bool) -> Self:
        """Returns the settings with a grid in place of "auto".

        Args:
          fits: True where times can be fitted to a network.

        Raises:
          ValueError: if ``grid`` is "fitted" and they cannot, or the sampler adds noise.
        """
        if "grid" not in self.options() or self.grid not in ("auto", "fitted"):
            return self
        reason = "" if fits else "the model has no score of the data alone"
        if not reason and not self.solver().follows_flow:
            reason = "the sampler adds noise, so that there is no trajectory to fit to"
        if self.grid == "fitted" and reason:
            raise ValueError(f"`grid` must not be fitted, since {reason}: take log-snr.")
        fitted = self.grid == "fitted" or (not reason and self.steps <= MOST_FITTED)
        return dataclasses.replace(self, grid="fitted" if fitted else "log-snr")

    @property
    def is_fitted(self) -> bool:
        """True if the times are to be fitted to a network."""
        return self.grid == "fitted" and "grid" in self.options()

    def described(self) -> str:
        """Returns the sampler and its options as a part of a file name."""
        how = "-".join(
            f"{name}{value:g}" if isinstance(value, float) else f"{name}{value}"
            for name, value in self.options().items()
        )
        dtype = "" if self.compute_dtype == "float32" else f"-{self.compute_dtype}"
        return f"{self.sampler}-{how or 'rules'}{dtype}"

    def options(self) -> dict[str, Any]:
        """Returns the settings that the sampler has."""
        return {name: getattr(self, name) for name in SAMPLERS[self.sampler].options}

    def switched(self, sampler: SamplerName) -> Self:
        """Returns the settings of another sampler, with its own defaults where it has some."""
        if sampler == self.sampler:
            return self
        other = dataclasses.replace(self, sampler=sampler)
        options = SAMPLERS[sampler].options.values()
        own = {one.name: one.default for one in options if one.default is not one.empty}
        return dataclasses.replace(other, **own)

    def check_changes(self, default: "SamplerSettings") -> None:
        """Refuses changed options that the sampler does not have.

        Raises:
          ValueError: if a field without effect differs from the default.
        """
        fields = (field.name for field in dataclasses.fields(self))
        self.check_options(n for n in fields if getattr(self, n) != getattr(default, n))

    def check_options(self, names: Iterable[str]) -> None:
        """Raises ValueError for the first of these settings that the sampler does not have."""
        options = self.options()
        for name in names:
            if name not in ("sampler", "compute_dtype", *options):
                raise ValueError(
                    f"`{name}` does not apply to the sampler {self.sampler}: its options are "
                    f"{', '.join(options) or 'none'}."
                )
