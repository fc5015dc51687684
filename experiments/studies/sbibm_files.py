"""Observations and reference posteriors in the files of the package sbibm (MIT license).

The package pins an old PyTorch stack, which its files do not need: it is not imported.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sde_jax.data import DataNotFoundError

OBSERVATIONS = 10
"""Number of observations of each task."""


class Observation(NamedTuple):
    """An observation of a task of sbibm."""

    x: np.ndarray
    """The simulation that was observed, ``[size]``."""
    parameters: np.ndarray
    """The parameters that it was simulated with, ``[dimensions]``."""
    posterior: np.ndarray
    """Samples of the reference posterior, ``[10000, dimensions]``."""


def observations(task: str) -> list[Observation]:
    """Reads the observations of a task, such as "two_moons", from the installed package.

    Raises:
      DataNotFoundError: if it is not installed.
    """
    spec = importlib.util.find_spec("sbibm")
    if spec is None or spec.origin is None:
        raise DataNotFoundError(
            "the observations are files of the package sbibm: pip install --no-deps sbibm"
        )
    folder = Path(spec.origin).parent / "tasks" / task / "files"
    return [
        read_observation(folder / f"num_observation_{number + 1}") for number in range(OBSERVATIONS)
    ]


def read_observation(folder: Path) -> Observation:
    """Reads the files of an observation, each with a line of names."""
    names = ("observation.csv", "true_parameters.csv", "reference_posterior_samples.csv.bz2")
    x, parameters, posterior = (
        np.loadtxt(folder / name, delimiter=",", skiprows=1, ndmin=2) for name in names
    )
    return Observation(x[0], parameters[0], posterior)
