"""Functions and results that recipes give to the code that samples and measures runs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sde_jax.arrays import Array, Float, Int, Key, PyTree
from sde_jax.likelihood import LogLikelihoods
from sde_jax.sampling import Samples

__all__ = ["Density", "Draw", "Measured"]

Draw = Callable[[PyTree, Key[Array, "batch"], Int[Array, "batch"]], Samples]
"""Draws a sample for each key, of the averaged parameters, the keys, and the samples' numbers."""

Density = Callable[[PyTree, Key[Array, "batch"], Float[Array, "batch *shape"]], LogLikelihoods]
"""Log densities of examples in model coordinates, of the averaged parameters and a key for each."""


class Measured(NamedTuple):
    """Likelihoods of examples 0, 1, ... of a split; numpy arrays of one row for each."""

    nats: np.ndarray
    """Log likelihood of the data in its own units: of the integer levels, for images. NaN where
    the solve failed."""
    bits_per_dim: np.ndarray
    probe_stderr: np.ndarray
    """Standard error of ``bits_per_dim`` over the probes; NaN where it is unknown."""
    nfe: np.ndarray
    converged: np.ndarray
