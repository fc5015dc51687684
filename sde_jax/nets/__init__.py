"""Networks: Linen modules ``(x, time, condition=None, *, deterministic=True) -> output like x``.

They do not depend on an SDE: ``time`` is any number per example, to be embedded. The classifier may
be called with x alone.
"""

from sde_jax.nets.classifier import Classified, Classifier, ClassifierSpec
from sde_jax.nets.condition import Condition
from sde_jax.nets.ddpm import DDPM, DDPMSpec
from sde_jax.nets.mlp import MLP, MLPSpec
from sde_jax.nets.ncsnpp import NCSNpp, NCSNppSpec
from sde_jax.nets.pooled_unet import PooledUNet, PooledUNetSpec
from sde_jax.nets.spec import NetworkSpec
from sde_jax.nets.unet import UNetSpec

__all__ = [
    "DDPM",
    "MLP",
    "Classified",
    "Classifier",
    "ClassifierSpec",
    "Condition",
    "DDPMSpec",
    "MLPSpec",
    "NCSNpp",
    "NCSNppSpec",
    "NetworkSpec",
    "PooledUNet",
    "PooledUNetSpec",
    "UNetSpec",
]
