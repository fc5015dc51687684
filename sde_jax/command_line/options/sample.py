"""Options of ``sde-jax sample RUN``."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.arguments import RunPath, Switch, check_counts, check_seed, option
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.runs.data_place import DataPlace


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draws samples from a trained run, into an .npz file and a .png picture beside it, or any
    number of them into a folder."""

    run: RunPath
    settings: Annotated[SamplerSettings | None, tyro.conf.arg(name="")] = SamplerSettings()
    count: int = 64
    """Samples to draw."""
    condition: Annotated[Path | None, option("FILE", "none")] = None
    """Conditions of the samples, of a run that was trained with some: a file of numbers with a row
    of the vector, or of the class label, for all samples or one for each."""
    weight: float = 0.0
    """Weight of classifier-free guidance by the condition: 0 for none."""
    data: DataPlace = DataPlace()
    batch_size: int = 256
    """Samples drawn at once; a sample does not depend on it."""
    seed: int = 0
    """Sample j is a function of the seed and j."""
    trajectory: Switch = False
    """Also draw a picture of the trajectories."""
    out: Annotated[Path | None, option("FILE.npz|DIR", "a name in RUN/samples that says how")] = (
        None
    )
    """The .npz file, which must not exist; its pictures go beside it. Another name is that of a
    folder. There each batch is written when it is drawn, images as integers (.npy), with its
    SHA-256 in index.jsonl, and the same command continues after a kill."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)


def parsed(args: list[str], run: Path, experiment: Any) -> Sample:
    """Parses arguments for a run; defaults are the experiment's, or the chosen sampler's own.

    Raises:
      ValueError: if the sampler does not have an option that is given.
    """
    default = Sample(run=run, settings=experiment.sampling)
    options = parse(Sample, args, "sde-jax sample", default, run=run)
    if default.settings is not None and options.settings is not None:
        own = default.settings.switched(options.settings.sampler)
        default = dataclasses.replace(default, settings=own)
        options = parse(Sample, args, "sde-jax sample", default, run=run)
        assert options.settings is not None
        options.settings.check_changes(own)
    return options
