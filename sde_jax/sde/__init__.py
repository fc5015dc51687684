"""Forward processes: linear SDEs as pure functions of time, and their reversal."""

from sde_jax.sde.base import LinearSDE, Time
from sde_jax.sde.discrete import DDPMChain, EulerChain, SMLDChain
from sde_jax.sde.ornstein_uhlenbeck import OrnsteinUhlenbeck
from sde_jax.sde.reverse import probability_flow_drift, reverse_drift
from sde_jax.sde.transition import ExactTransition, Transition, TransitionRule, transition
from sde_jax.sde.truncated import TruncatedSDE
from sde_jax.sde.variance_exploding import VE
from sde_jax.sde.variance_preserving import VP, CosineVP, SubVP

__all__ = [
    "VE",
    "VP",
    "TruncatedSDE",
    "CosineVP",
    "DDPMChain",
    "EulerChain",
    "ExactTransition",
    "LinearSDE",
    "OrnsteinUhlenbeck",
    "SMLDChain",
    "SubVP",
    "Time",
    "Transition",
    "TransitionRule",
    "probability_flow_drift",
    "reverse_drift",
    "transition",
]
