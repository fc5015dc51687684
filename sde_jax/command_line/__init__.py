"""The commands of ``sde-jax``."""
