"""Options of ``sde-jax label SAMPLES.npz``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sde_jax.arguments import check_counts


@dataclass(frozen=True, kw_only=True)
class Label:
    """Writes samples as PNG files, in a folder for each label that a classifier predicts. Samples
    that are not finite are left out and named."""

    samples: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SAMPLES.npz")]
    """The samples, as `sample` writes them."""
    folder: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder to write, which must not exist or be empty: DIR/3/000017.png."""
    classifier: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run of the classifier."""
    batch_size: int = 256
    """Samples labelled at once; a label does not depend on it."""

    def __post_init__(self) -> None:
        check_counts(batch_size=self.batch_size)
