"""Score-based generative models through stochastic differential equations, in JAX.

The names of ``__all__`` are imported when they are first used. The subpackages hold the rest:
``sde``, ``score``, ``nets``, ``objectives``, ``sampling``, ``likelihood``, ``data``, ``metrics``,
``training``, ``baselines``, ``interop`` and ``recipes``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_jax.api import Run as Run, fit as fit, open_run as open_run, train as train
    from sde_jax.likelihood import (
        ExactTrace as ExactTrace,
        Hutchinson as Hutchinson,
        Likelihood as Likelihood,
        MultistepLikelihood as MultistepLikelihood,
        bits_per_dimension as bits_per_dimension,
    )
    from sde_jax.sampling import (
        DDIM as DDIM,
        AdaptiveReversal as AdaptiveReversal,
        Ancestral as Ancestral,
        EulerMaruyama as EulerMaruyama,
        ExponentialAdams as ExponentialAdams,
        Heun as Heun,
        KarrasGrid as KarrasGrid,
        Langevin as Langevin,
        LogSNRGrid as LogSNRGrid,
        PredictorCorrector as PredictorCorrector,
        ProbabilityFlow as ProbabilityFlow,
        ReverseDiffusion as ReverseDiffusion,
        UniformGrid as UniformGrid,
    )
    from sde_jax.score import (
        DenoiserScore as DenoiserScore,
        FunctionNetwork as FunctionNetwork,
        GaussianMixture as GaussianMixture,
        MixtureScore as MixtureScore,
        NetworkScore as NetworkScore,
        ScoreModel as ScoreModel,
    )
    from sde_jax.sde import (
        VE as VE,
        VP as VP,
        CosineVP as CosineVP,
        FlowMatching as FlowMatching,
        OrnsteinUhlenbeck as OrnsteinUhlenbeck,
        SubVP as SubVP,
    )

__version__ = "0.2.0"

_PACKAGES = {
    "api": "Run fit open_run train",
    "likelihood": "ExactTrace Hutchinson Likelihood MultistepLikelihood bits_per_dimension",
    "sampling": "AdaptiveReversal Ancestral DDIM EulerMaruyama ExponentialAdams Heun KarrasGrid "
    "Langevin LogSNRGrid PredictorCorrector ProbabilityFlow ReverseDiffusion UniformGrid",
    "score": "DenoiserScore FunctionNetwork GaussianMixture MixtureScore NetworkScore ScoreModel",
    "sde": "CosineVP FlowMatching OrnsteinUhlenbeck SubVP VE VP",
}
_HOME = {name: package for package, names in _PACKAGES.items() for name in names.split()}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sde_jax.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
