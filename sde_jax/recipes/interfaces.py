"""Interfaces of recipes to the code that samples and measures runs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sde_jax.arrays import Array, Float, Int, Key, PyTree
from sde_jax.likelihood import LogLikelihoods
from sde_jax.nets import Condition
from sde_jax.sampling import Samples

Draw = Callable[[PyTree, Key[Array, "batch"], Int[Array, "batch"]], Samples]
"""Draws a sample for each key. Arguments: averaged parameters, in a `Given` for conditional
samples; keys, and numbers of the samples."""

Density = Callable[..., LogLikelihoods]
"""Measures log densities. Arguments: averaged parameters, a key for each example, the examples in
model coordinates and, for conditional densities, the `Condition` of each."""


class Given(NamedTuple):
    """Parameters and the conditions of samples: new conditions need no compilation."""

    params: PyTree
    condition: Condition
    """Rows, one or more. Sample j has row j modulo their number."""
    weight: Float[Array, ""] | None = None
    """Weight of `ClassifierFreeGuidance`; None for none."""


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
