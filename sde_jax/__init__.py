"""Score-based generative models through stochastic differential equations, in JAX.

The names of ``__all__`` are imported when they are first used. The subpackages hold the rest:
``sde``, ``score``, ``nets``, ``objectives``, ``sampling``, ``likelihood``, ``data``, ``metrics``,
``training``, ``baselines``, ``interop`` and ``recipes``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_jax.api import Run as Run
    from sde_jax.api import fit as fit
    from sde_jax.api import open_run as open_run
    from sde_jax.api import train as train
    from sde_jax.likelihood import ExactTrace as ExactTrace
    from sde_jax.likelihood import Hutchinson as Hutchinson
    from sde_jax.likelihood import Likelihood as Likelihood
    from sde_jax.likelihood import MultistepLikelihood as MultistepLikelihood
    from sde_jax.likelihood import bits_per_dimension as bits_per_dimension
    from sde_jax.sampling import DDIM as DDIM
    from sde_jax.sampling import AdaptiveReversal as AdaptiveReversal
    from sde_jax.sampling import Ancestral as Ancestral
    from sde_jax.sampling import EulerMaruyama as EulerMaruyama
    from sde_jax.sampling import ExponentialAdams as ExponentialAdams
    from sde_jax.sampling import Heun as Heun
    from sde_jax.sampling import KarrasGrid as KarrasGrid
    from sde_jax.sampling import Langevin as Langevin
    from sde_jax.sampling import LogSNRGrid as LogSNRGrid
    from sde_jax.sampling import PredictorCorrector as PredictorCorrector
    from sde_jax.sampling import ProbabilityFlow as ProbabilityFlow
    from sde_jax.sampling import ReverseDiffusion as ReverseDiffusion
    from sde_jax.sampling import UniformGrid as UniformGrid
    from sde_jax.score import DenoiserScore as DenoiserScore
    from sde_jax.score import FunctionNetwork as FunctionNetwork
    from sde_jax.score import GaussianMixture as GaussianMixture
    from sde_jax.score import MixtureScore as MixtureScore
    from sde_jax.score import NetworkScore as NetworkScore
    from sde_jax.score import ScoreModel as ScoreModel
    from sde_jax.sde import VE as VE
    from sde_jax.sde import VP as VP
    from sde_jax.sde import CosineVP as CosineVP
    from sde_jax.sde import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from sde_jax.sde import SubVP as SubVP

__version__ = "0.2.0"

_PACKAGES = {
    "api": "Run fit open_run train",
    "likelihood": "ExactTrace Hutchinson Likelihood MultistepLikelihood bits_per_dimension",
    "sampling": "AdaptiveReversal Ancestral DDIM EulerMaruyama ExponentialAdams Heun KarrasGrid "
    "Langevin LogSNRGrid PredictorCorrector ProbabilityFlow ReverseDiffusion UniformGrid",
    "score": "DenoiserScore FunctionNetwork GaussianMixture MixtureScore NetworkScore ScoreModel",
    "sde": "CosineVP OrnsteinUhlenbeck SubVP VE VP",
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
