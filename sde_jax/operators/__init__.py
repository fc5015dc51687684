"""Linear measurement operators of inverse problems, with a solver for ``A A^T``."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.operators.convolution import Convolution as Convolution, motion_blur as motion_blur
    from sde_jax.operators.matrix import Matrix as Matrix
    from sde_jax.operators.pixels import (
        LUMA as LUMA,
        Channels as Channels,
        Mask as Mask,
        grey as grey,
    )
    from sde_jax.operators.protocol import (
        LinearOperator as LinearOperator,
        Operator as Operator,
        pseudo_inverse as pseudo_inverse,
    )
    from sde_jax.operators.separable import (
        Separable as Separable,
        bicubic as bicubic,
        block_average as block_average,
        gaussian_blur as gaussian_blur,
    )
    from sde_jax.operators.spectrum import CUTOFF as CUTOFF
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
