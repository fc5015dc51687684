"""Options of ``sde-jax data statistics SOURCE``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sde_jax.arguments import DataDir, Switch, check_counts, option
from sde_jax.data.preprocessing import Fit
from sde_jax.data.splits import TRAIN
from sde_jax.metrics.preprocessing_names import InceptionPreprocessing


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Computes the statistics of a data set that metrics need, under a feature network. They are
    cached; --out also writes them to a file, in which EDM and pytorch-fid find mu and sigma."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """An experiment, a published model, a run directory, a folder or a zip of pictures, a folder of
    samples, or the name of a set of tensorflow_datasets."""
    split: str = TRAIN
    """train or test; of a set of tensorflow_datasets also one of its own, or a part of one."""
    count: Annotated[int | None, option("INT", "all")] = None
    """Examples, the first ones of the split."""
    features: Annotated[str, tyro.conf.arg(metavar="NAME|RUN")] = "inception"
    """inception: the published network's; coordinates: the data themselves; the run of a
    classifier: its last hidden layer."""
    preprocessing: Annotated[InceptionPreprocessing | None, option("NAME", "tensorflow")] = None
    """How images are brought to Inception's size: as TensorFlow 1, score_sde, pytorch-fid or
    clean-fid does it."""
    batch_size: int = 256
    """Examples at once; a result does not depend on it."""
    data_dir: DataDir = None
    image_size: Annotated[int | None, option("INT", "the experiment's, else their own")] = None
    """Side of the square images that are made of them."""
    fit: Annotated[Fit | None, option("NAME", "the experiment's, else crop")] = None
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""
    grey: Switch = False
    """Make them grey, by their luma."""
    out: Annotated[Path | None, option("FILE", "none is written")] = None
    """The .npz file to share, which must not exist."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        if self.preprocessing is not None and self.features != "inception":
            raise ValueError(f"`preprocessing` does not apply to features {self.features}.")
