"""Log likelihoods: by adaptive solves, in fixed steps, of discrete data, bounds and weights."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.likelihood.adaptive import (
        Divergence as Divergence,
        ExactTrace as ExactTrace,
        Hutchinson as Hutchinson,
        Likelihood as Likelihood,
        bits_per_dimension as bits_per_dimension,
    )
    from sde_jax.likelihood.dequantization import (
        Dequantizer as Dequantizer,
        DiscreteLikelihood as DiscreteLikelihood,
        TruncatedDequantization as TruncatedDequantization,
        UniformDequantization as UniformDequantization,
    )
    from sde_jax.likelihood.importance import (
        ImportanceWeights as ImportanceWeights,
        importance_weights as importance_weights,
    )
    from sde_jax.likelihood.multistep import (
        MultistepLikelihood as MultistepLikelihood,
        even_times as even_times,
        fitted_times as fitted_times,
    )
    from sde_jax.likelihood.results import LogLikelihoods as LogLikelihoods
    from sde_jax.likelihood.score_bound import ScoreBound as ScoreBound
    from sde_jax.likelihood.variational_bound import (
        Decoder as Decoder,
        DiscretizedGaussian as DiscretizedGaussian,
        GaussianDensity as GaussianDensity,
        VariationalBound as VariationalBound,
        VariationalBounds as VariationalBounds,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
