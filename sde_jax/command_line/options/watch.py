"""Options of ``sde-jax watch RUN``."""

from dataclasses import dataclass

from sde_jax.arguments import RunPath


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Shows the progress of a run, from its files alone: on any host that sees them, during
    training and afterwards. On a terminal, it refreshes until the run is finished or Ctrl-C;
    elsewhere it prints once. In a browser: pip install tensorboard, and tensorboard --logdir
    RUN/logs."""

    run: RunPath
