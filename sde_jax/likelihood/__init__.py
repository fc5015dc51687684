"""Log likelihoods: by adaptive solves, in fixed steps, and bounds of a DDPM chain."""

from sde_jax.likelihood.adaptive import (
    Divergence,
    ExactTrace,
    Hutchinson,
    Likelihood,
    LogLikelihoods,
    bits_per_dimension,
)
from sde_jax.likelihood.multistep import MultistepLikelihood, even_times, fitted_times
from sde_jax.likelihood.variational_bound import (
    Decoder,
    DiscretizedGaussian,
    GaussianDensity,
    VariationalBound,
    VariationalBounds,
)

__all__ = [
    "Decoder",
    "DiscretizedGaussian",
    "Divergence",
    "ExactTrace",
    "GaussianDensity",
    "Hutchinson",
    "Likelihood",
    "LogLikelihoods",
    "MultistepLikelihood",
    "VariationalBound",
    "VariationalBounds",
    "bits_per_dimension",
    "even_times",
    "fitted_times",
]
