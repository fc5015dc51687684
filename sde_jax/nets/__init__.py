"""Networks: Linen modules ``(x, time, condition=None, *, deterministic=True) -> output like x``.

They do not depend on an SDE: ``time`` is any number per example, to be embedded. The classifier may
be called with x alone.
"""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.nets.classifier import (
        Classified as Classified,
        Classifier as Classifier,
        ClassifierSpec as ClassifierSpec,
    )
    from sde_jax.nets.condition import (
        Condition as Condition,
        VectorStandardization as VectorStandardization,
    )
    from sde_jax.nets.ddpm import DDPM as DDPM, DDPMSpec as DDPMSpec
    from sde_jax.nets.mlp import MLP as MLP, MLPSpec as MLPSpec
    from sde_jax.nets.ncsnpp import NCSNpp as NCSNpp, NCSNppSpec as NCSNppSpec
    from sde_jax.nets.pooled_unet import PooledUNet as PooledUNet, PooledUNetSpec as PooledUNetSpec
    from sde_jax.nets.spec import NetworkSpec as NetworkSpec
    from sde_jax.nets.unet import UNetSpec as UNetSpec
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
