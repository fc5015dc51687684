"""Score-based generative models through stochastic differential equations, in JAX.

The names of ``__all__`` are imported when they are first used. The subpackages hold the rest:
``sde``, ``score``, ``nets``, ``objectives``, ``sampling``, ``likelihood``, ``data``, ``metrics``,
``training``, ``baselines``, ``interop`` and ``recipes``.
"""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

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
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
    __all__.append("__version__")

__version__ = "0.2.0"
