"""A run on disk: find its definition, train it, open it, sample and measure it."""

from sde_jax.runs.catalogue import definitions as definitions, find as find, names as names
from sde_jax.runs.fixed_steps import fixed_steps as fixed_steps
from sde_jax.runs.generation import (
    concatenate as concatenate,
    draw_all as draw_all,
    example_keys as example_keys,
    is_valid as is_valid,
)
from sde_jax.runs.status import training_seconds as training_seconds
from sde_jax.runs.trained_run import (
    GenerativeRun as GenerativeRun,
    ScoreRun as ScoreRun,
    TrainedRun as TrainedRun,
    open_generative as open_generative,
    open_run as open_run,
    open_run_of as open_run_of,
)
from sde_jax.runs.training import train_experiment as train_experiment
