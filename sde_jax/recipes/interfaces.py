"""Interfaces of recipes to the code that samples and measures runs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sde_jax.arrays import Array, Float, Int, Key, PyTree
from sde_jax.likelihood import LogLikelihoods
from sde_jax.sampling import Samples

Draw = Callable[[PyTree, Key[Array, "batch"], Int[Array, "batch"]], Samples]
"""Draws a sample for each key. Arguments: averaged parameters, keys, and numbers of the samples."""

Density = Callable[[PyTree, Key[Array, "batch"], Float[Array, "batch *shape"]], LogLikelihoods]
"""Measures log densities. Arguments: averaged parameters, a key for each example, and the examples
in model coordinates."""


class Measured(NamedTuple):
    """Likelihoods of examples 0, 1, ...: numpy arrays with a value for each."""

    nats: np.ndarray
    """Log likelihood of the data in its own unit, for images of the integer levels. NaN where the
    solver failed."""
    bits_per_dim: np.ndarray
    probe_stderr: np.ndarray
    """Standard error of ``bits_per_dim`` over the probes; NaN where it is unknown."""
    nfe: np.ndarray
    converged: np.ndarray
    draw_stderr: np.ndarray | None = None
    """Standard error of ``bits_per_dim`` over draws of noise; None for a single draw."""
