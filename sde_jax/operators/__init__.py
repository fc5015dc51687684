"""Linear measurement operators of inverse problems, with a solver for ``A A^T``."""

from sde_jax.operators.convolution import Convolution, motion_blur
from sde_jax.operators.matrix import Matrix
from sde_jax.operators.pixels import LUMA, Channels, Mask, grey
from sde_jax.operators.protocol import LinearOperator, Operator, pseudo_inverse
from sde_jax.operators.separable import Separable, bicubic, block_average, gaussian_blur
from sde_jax.operators.spectrum import CUTOFF

__all__ = [
    "CUTOFF",
    "LUMA",
    "Channels",
    "Convolution",
    "LinearOperator",
    "Mask",
    "Matrix",
    "Operator",
    "Separable",
    "bicubic",
    "block_average",
    "gaussian_blur",
    "grey",
    "motion_blur",
    "pseudo_inverse",
]
