"""Handwritten digits (8x8): which sampler is best, for how many evaluations of the network?

python -m experiments digits_samplers

What to look at is in `samplers`.
"""

from experiments.studies.samplers import Samplers
from sde_jax.recipes.sampler_settings import SamplerName, SamplerSettings

STEPS: dict[SamplerName, tuple[int, ...]] = {
    "em": (50, 100, 250, 1000),
    "ancestral": (20, 50, 100, 250),
    "pc": (50, 250),
    "ddim": (10, 20, 50),
    "dpm++2m": (5, 10, 20),
    "dpm++3m": (10, 20),
    "unipc": (5, 10, 20, 50),
    "sde-dpm++2m": (10, 20, 50, 100),
}
TOLERANCES: dict[SamplerName, tuple[float, ...]] = {
    "ode": (1e-2, 1e-3, 1e-5),
    "shark": (0.05,),
    "sra1": (0.05,),
    "gotta-go-fast": (0.05,),
}

study = Samplers(
    run="digits_vp",
    classifier="digits_classifier",
    settings=(
        *(SamplerSettings(sampler=n, steps=k) for n, steps in STEPS.items() for k in steps),
        *(SamplerSettings(sampler="dpm++2m", steps=k, grid="uniform") for k in (5, 10, 20)),
        *(SamplerSettings(sampler="heun", steps=k, grid="karras") for k in (5, 10, 18)),
        *(SamplerSettings(sampler=n, tolerance=k) for n, some in TOLERANCES.items() for k in some),
    ),
    evaluations=8_000,
    least=128,
    most=1500,
)
