"""Data sets: their specs, their sources of batches, and their scaling."""

from sde_jax.data.digits import Digits
from sde_jax.data.folder import Folder
from sde_jax.data.storage import Storage
from sde_jax.data.synthetic import Checkerboard, GaussianMixture, Ring, SwissRoll
from sde_jax.data.tfds import TfdsImages

__all__ = [
    "Checkerboard",
    "Digits",
    "Folder",
    "GaussianMixture",
    "Ring",
    "Storage",
    "SwissRoll",
    "TfdsImages",
]
