"""Score-based generative models through stochastic differential equations, in JAX.

The names of ``__all__`` are imported when they are first used. The subpackages hold the rest:
``sde``, ``score``, ``nets``, ``objectives``, ``sampling``, ``likelihood``, ``data``, ``metrics``,
``training``, ``baselines``, ``interop`` and ``recipes``.
"""

# ruff: noqa: F401

import importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_jax.api import Run, fit, open_run, train
    from sde_jax.likelihood import (
        ExactTrace,
        Hutchinson,
        Likelihood,
        MultistepLikelihood,
        bits_per_dimension,
    )
    from sde_jax.sampling import (
        DDIM,
        AdaptiveReversal,
        Ancestral,
        EulerMaruyama,
        ExponentialAdams,
        Heun,
        KarrasGrid,
        Langevin,
        LogSNRGrid,
        PredictorCorrector,
        ProbabilityFlow,
        ReverseDiffusion,
        UniformGrid,
    )
    from sde_jax.score import (
        DenoiserScore,
        FunctionNetwork,
        GaussianMixture,
        MixtureScore,
        NetworkScore,
        ScoreModel,
    )
    from sde_jax.sde import VE, VP, CosineVP, OrnsteinUhlenbeck, SubVP

__version__ = _version("sde_jax")

_PACKAGES = {
    "api": ("Run", "fit", "open_run", "train"),
    "likelihood": (
        *("ExactTrace", "Hutchinson", "Likelihood", "MultistepLikelihood", "bits_per_dimension"),
    ),
    "sampling": (
        *("DDIM", "AdaptiveReversal", "Ancestral", "EulerMaruyama", "ExponentialAdams", "Heun"),
        *("KarrasGrid", "Langevin", "LogSNRGrid", "PredictorCorrector", "ProbabilityFlow"),
        *("ReverseDiffusion", "UniformGrid"),
    ),
    "score": (
        *("DenoiserScore", "FunctionNetwork", "GaussianMixture", "MixtureScore", "NetworkScore"),
        "ScoreModel",
    ),
    "sde": ("VE", "VP", "CosineVP", "OrnsteinUhlenbeck", "SubVP"),
}
_HOME = {name: package for package, names in _PACKAGES.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"sde_jax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
