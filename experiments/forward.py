"""How does noise take an image, a density and its score away, and do the SDEs differ in it?

A forward process is a linear SDE, from data at t = 0 to noise at t = 1::

    dx = a(t) x dt + g(t) dw            xt = alpha(t) x0 + sigma(t) noise

The second equation solves the first (Song et al. 2021, eq. 29): ``a`` shrinks the signal to alpha,
``g`` adds up to noise of deviation sigma, and one draw of a unit Gaussian jumps to any t. A path of
the SDE would be shaken anew at each step; at any one t both have the same distribution.

What to look at:

- Times at which sigma / alpha is equal show the same image but for its scale, whatever the SDE.
  That ratio is the true clock of a process; an SDE chooses how fast it runs, and x's scale.
- VP, sub-VP and Ornstein-Uhlenbeck waste much of [0, 1] on what looks like pure noise. The cosine
  schedule reaches sigma = alpha half-way, Ornstein-Uhlenbeck at t = .07: constant coefficients
  destroy detail at once. Sub-VP has VP's alpha with less noise, so that x varies less at first.
- VE never shrinks x. Its noise must drown the data instead: sigma grows from .01 to 50, evenly in
  its logarithm, and the plane is shown ever wider. Look at the arrows' colour: the score is about
  -x / (alpha^2 + sigma^2) near the end, whose length stays about 1 under the others and falls as
  1 / sigma under VE. A network that learns it needs its output divided by sigma.
- At t = 0 the arrows are long, and far from the data they say little of where most of it is. Noise
  merges the modes, from the smallest distances up, until one arrow field leads everywhere to the
  centre. Sampling follows the arrows back: first the coarse, then the fine.

The density is a mixture of four Gaussians, whose noised density and score are exact.

python -m experiments forward

Two CPU cores, 40 seconds.
"""

from experiments.mnist_vp import experiment as mnist_vp
from experiments.studies.forward import Forward

study = Forward(data=mnist_vp.data)
