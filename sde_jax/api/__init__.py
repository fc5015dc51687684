"""Runs from Python: train them, open them, and use what they have learned."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.api.fitting import fit as fit, train as train
    from sde_jax.api.opening import open_run as open_run
    from sde_jax.api.run import Run as Run
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
