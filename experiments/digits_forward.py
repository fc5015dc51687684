"""How does noise take an image, a density and its score away? On digits that need no download.

Each SDE carries an 8x8 digit and a mixture of Gaussians from data at t = 0 to noise at t = 1::

    dx = a(t) x dt + g(t) dw            xt = alpha(t) x0 + sigma(t) noise

Compare panels of equal sigma / alpha: they show the same image but for its scale. See which SDE
gets there early, which late, and how the arrows of the score grow calm as the modes merge.
`experiments.forward` says more, of MNIST.

python -m experiments digits_forward

Two CPU cores, 30 seconds.
"""

from experiments.studies.forward import Forward
from sde_jax.data import Digits

study = Forward(data=Digits())
