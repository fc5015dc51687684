"""Score-based generative models through stochastic differential equations, in JAX.

Import what you need from the subpackages; they are the paper's table of contents: ``sde``,
``score``, ``nets``, ``objectives``, ``sampling``, ``likelihood``, ``data``, ``training``.
"""
