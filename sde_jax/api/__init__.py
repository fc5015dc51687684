"""Runs from Python: train them, open them, and use what they have learned."""

from sde_jax.api.fitting import fit, train
from sde_jax.api.run import Run, open_run

__all__ = ["Run", "fit", "open_run", "train"]
