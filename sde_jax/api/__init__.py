"""Runs from Python: train them, open them, and use what they have learned."""

from sde_jax.api.fitting import fit as fit, train as train
from sde_jax.api.run import Run as Run, open_run as open_run
