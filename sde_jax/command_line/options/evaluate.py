"""Options of ``sde-jax evaluate RUN``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.arguments import RunPath, check_counts, check_seed, option
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.runs.data_place import DataPlace
from sde_jax.validation import check_effects


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Draws samples of a trained run, measures them and the likelihood of held-out data, and writes
    evaluation.json and report.html into RUN/evaluations. A killed evaluation resumes."""

    run: RunPath
    settings: Annotated[EvaluationSettings, tyro.conf.arg(name="")] = EvaluationSettings()
    likelihood: Any = LikelihoodSettings()
    statistics: Annotated[Path | None, option("FILE", "they are computed, and cached")] = None
    """Statistics of the training data, as `data statistics` writes them or as published; for one
    feature network."""
    condition: Annotated[Path | None, option("FILE", "those of held-out data, in turn")] = None
    """Conditions of the samples, of a run that was trained with some: a file of numbers with a row
    for all or one for each. Held-out examples are measured under their own."""
    data: DataPlace = DataPlace()
    batch_size: int = 256
    """Examples drawn or measured at once; results do not depend on it, up to rounding."""
    seed: int = 0
    """Sample j is a function of the seed and j. Also seeds dequantization and probes."""

    def __post_init__(self) -> None:
        check_counts(batch_size=self.batch_size)
        check_seed(self.seed)


def parsed(args: list[str], run: Path, experiment: Any) -> Evaluate:
    """Parses arguments for a run, with the defaults of its experiment.

    Raises:
      ValueError: if an option that is given has no effect.
    """
    usual = experiment.evaluation
    default = Evaluate(run=run, settings=usual, likelihood=experiment.likelihood)
    options = parse(Evaluate, args, "sde-jax evaluate", default, run=run)
    settings = options.settings
    check_effects(settings, usual)
    if settings.sampling is not None and usual.sampling is not None:
        settings.sampling.check_changes(usual.sampling)
    if options.likelihood != default.likelihood and "likelihood" not in settings.metrics:
        raise ValueError("--likelihood has no effect unless --metrics has likelihood.")
    return options
