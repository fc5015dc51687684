"""The command ``sde-jax``, one module per command."""
