"""Options of ``sde-jax weights inception``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sde_jax.arguments import Switch, UsageError, option


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Converts published weights into the cache folder."""

    network: Annotated[Literal["inception"], tyro.conf.Positional]
    """The network: inception, for FID, KID and Inception Score."""
    file: Annotated[Path | None, option("FILE", "none"), tyro.conf.arg(name="from")] = None
    """The file of pytorch-fid or torch-fidelity. Nothing in it is executed."""
    download: Switch = False
    """Fetch that file from where pytorch-fid publishes it."""

    def __post_init__(self) -> None:
        if (self.file is None) == (not self.download):
            raise UsageError("weights takes either --from FILE or --download.")
