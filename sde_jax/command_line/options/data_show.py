"""Options of ``sde-jax data show SOURCE``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sde_jax.arguments import DataDir, Switch, option
from sde_jax.data.preprocessing import Fit

COMMON_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Show:
    """Summarizes all images of a set: their sizes, counts, ranges, labels, broken files, and
    largest distance; draws some. Of a file of numbers, the ranges of its channels and their
    histograms."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A folder or a zip of pictures, a file of numbers (.npy, .npz, .h5, .csv, .tsv, .parquet), or
    the name of a set of tensorflow_datasets."""
    array: Annotated[str | None, option("NAME", "the only one")] = None
    """The array of a .npz or .h5 file."""
    columns: Annotated[tuple[str, ...] | None, option("NAME ...", "all")] = None
    """Columns of a .csv, .tsv or .parquet file by name, of another by number."""
    data_dir: DataDir = None
    image_size: Annotated[
        int | None, option("INT", f"their own, {COMMON_SIZE} where they differ")
    ] = None
    """Side of the square images that are made of them."""
    fit: Fit = "crop"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""
    grey: Switch = False
    """Make them grey, by their luma."""
    out: Annotated[Path | None, option("FILE", "runs/data/SOURCE.png, which is replaced")] = None
    """The .png file to draw, which must not exist."""
