"""Options of ``sde-jax edit RUN``."""

from sde_jax.editing.options import EditOptions as EditOptions
