"""Options of ``sde-jax quickstart``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Quickstart:
    """Trains on handwritten digits, draws them with three samplers, and measures bits per
    dimension: minutes on two CPU cores. Called again, it continues or reuses its run."""

    workdir: Path = Path("runs/quickstart")
    """The run directory."""
