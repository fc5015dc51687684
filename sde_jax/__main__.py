"""``python -m sde_jax``, the same as the command ``sde-jax``."""

import sys

from sde_jax.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
