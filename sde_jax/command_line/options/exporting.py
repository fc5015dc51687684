"""Options of ``sde-jax export RUN``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sde_jax.arguments import RunPath
from sde_jax.runs.data_place import DataPlace


@dataclass(frozen=True, kw_only=True)
class Export:
    """Writes the weights of a run, with its configuration, for other programs."""

    run: RunPath
    format: Literal["safetensors", "score-sde"]
    """safetensors: the averaged weights under this library's names, the configuration in the
    metadata; score-sde: a whole checkpoint of score_sde_pytorch (.pth), its model in a .json beside
    it."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The file, which must not exist."""
    data: DataPlace = DataPlace()
