"""A run on disk: find its definition, train it, open it, sample and measure it."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.runs.catalogue import find as find
    from sde_jax.runs.definition_names import definitions as definitions, names as names
    from sde_jax.runs.generation import (
        concatenate as concatenate,
        draw_all as draw_all,
        example_keys as example_keys,
        is_valid as is_valid,
    )
    from sde_jax.runs.measurement import measure as measure
    from sde_jax.runs.status import training_seconds as training_seconds
    from sde_jax.runs.steps import fixed_steps as fixed_steps
    from sde_jax.runs.trained_run import (
        GenerativeRun as GenerativeRun,
        ScoreRun as ScoreRun,
        TrainedRun as TrainedRun,
        open_generative as open_generative,
        open_run as open_run,
        open_run_of as open_run_of,
    )
    from sde_jax.runs.training import (
        summary as summary,
        train_experiment as train_experiment,
        with_absolute_paths as with_absolute_paths,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
