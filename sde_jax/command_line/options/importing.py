"""Options of ``sde-jax import FILE``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Import:
    """Imports a checkpoint of score_sde (Flax) or score_sde_pytorch (.pth) as a run."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The checkpoint. Nothing in it is executed."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME|MODEL.json")]
    """The model in the file: a published model's name, which `list` shows, or a file that describes
    one, as `export` writes it."""
    workdir: Path
    """The run directory, which `sample`, `likelihood` and `train --resume` then take."""
