"""Forward processes: linear SDEs as pure functions of time, and their reversal."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.sde.base import LinearSDE as LinearSDE, Time as Time
    from sde_jax.sde.discrete import (
        DDPMChain as DDPMChain,
        EulerChain as EulerChain,
        SMLDChain as SMLDChain,
    )
    from sde_jax.sde.flow_matching import FlowMatching as FlowMatching
    from sde_jax.sde.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from sde_jax.sde.reverse import (
        probability_flow_drift as probability_flow_drift,
        reverse_drift as reverse_drift,
    )
    from sde_jax.sde.transitions import (
        ExactTransition as ExactTransition,
        Transition as Transition,
        TransitionRule as TransitionRule,
        transition as transition,
    )
    from sde_jax.sde.truncated import TruncatedSDE as TruncatedSDE
    from sde_jax.sde.variance_exploding import VE as VE
    from sde_jax.sde.variance_preserving import VP as VP, CosineVP as CosineVP, SubVP as SubVP
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
