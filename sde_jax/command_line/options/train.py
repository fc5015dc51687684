"""Options of ``sde-jax train NAME``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sde_jax.arguments import Switch
from sde_jax.recipes import Trainable


@dataclass(frozen=True, kw_only=True)
class Train:
    """Trains an experiment in a run directory."""

    experiment: Annotated[Trainable, tyro.conf.arg(name="")]
    workdir: Path
    """The run directory."""
    resume: Switch = False
    """Start the run if it does not exist, continue it if it does, do nothing if it is finished."""
    dry_run: Switch = False
    """Print the number of parameters and the resolved configuration, and write nothing."""
