"""Options of ``sde-jax list``."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class List:
    """Lists the experiments to train and the studies to reproduce, one per line."""
