"""Forward processes: linear SDEs as pure functions of time, and their reversal."""

from sde_jax.sde.base import LinearSDE
from sde_jax.sde.ornstein_uhlenbeck import OrnsteinUhlenbeck
from sde_jax.sde.reverse import probability_flow_drift, reverse_drift
from sde_jax.sde.transition import Transition, transition
from sde_jax.sde.variance_exploding import VE
from sde_jax.sde.variance_preserving import VP, CosineVP, SubVP

__all__ = [
    "VE",
    "VP",
    "CosineVP",
    "LinearSDE",
    "OrnsteinUhlenbeck",
    "SubVP",
    "Transition",
    "probability_flow_drift",
    "reverse_drift",
    "transition",
]
