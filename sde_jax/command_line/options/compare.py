"""Options of ``sde-jax compare RUN RUN ...``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sde_jax.arguments import UsageError


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Puts the newest evaluations of several runs into one table and one figure."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directories, each evaluated."""
    out: Path = Path("runs/comparison")
    """The folder for comparison.md, comparison.html and comparison.png, which are replaced."""

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise UsageError(f"compare needs two runs or more: got {len(self.runs)}.")
