"""Options of ``sde-jax anomalies RUN``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sde_jax.arguments import DataDir, RunPath, check_counts, check_seed, option
from sde_jax.evaluation.anomaly_names import NOISE, PHOTOGRAPHS
from sde_jax.runs.data_place import DataPlace


@dataclass(frozen=True, kw_only=True)
class Anomalies:
    """Tests a run's likelihood as an anomaly score: compares bits per dimension of held-out images
    of its own data with those of other images. Draws histograms and ROC curves."""

    run: RunPath
    against: Annotated[str | None, option("SET", "noise and photographs")] = None
    """noise: uniform grey levels; photographs: pieces of the two that come with scikit-learn; or a
    folder or a zip of pictures, or the name of a set of tensorflow_datasets, resized to fit."""
    data_dir: DataDir = None
    data: DataPlace = DataPlace()
    count: int = 256
    """Images of each set, or as many as it has."""
    batch_size: int = 256
    """Images measured at once; a result does not depend on it."""
    seed: int = 0
    """Seed of noise, crops, dequantization and probes."""
    out: Annotated[Path | None, option("FILE", "a name in RUN/anomalies that says how")] = None
    """The .png file to draw, which must not exist."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)
        if self.data_dir is not None and self.against in (None, NOISE, PHOTOGRAPHS):
            raise ValueError("--data-dir is for --against the name of a set.")

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the other sets."""
        return (NOISE, PHOTOGRAPHS) if self.against is None else (self.against,)
