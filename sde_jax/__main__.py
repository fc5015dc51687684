"""``python -m sde_jax``, the same as the command ``sde-jax``."""

from sde_jax.command_line.main import console

if __name__ == "__main__":
    console()
