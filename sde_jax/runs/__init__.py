"""A run on disk: find its definition, train it, open it, sample and measure it."""

from sde_jax.runs.catalogue import definitions as definitions
from sde_jax.runs.catalogue import find as find
from sde_jax.runs.catalogue import names as names
from sde_jax.runs.fixed_steps import fixed_steps as fixed_steps
from sde_jax.runs.generation import batch_drawer as batch_drawer
from sde_jax.runs.generation import concatenate as concatenate
from sde_jax.runs.generation import draw_all as draw_all
from sde_jax.runs.generation import example_keys as example_keys
from sde_jax.runs.generation import is_valid as is_valid
from sde_jax.runs.status import training_seconds as training_seconds
from sde_jax.runs.trained_run import GenerativeRun as GenerativeRun
from sde_jax.runs.trained_run import ScoreRun as ScoreRun
from sde_jax.runs.trained_run import TrainedRun as TrainedRun
from sde_jax.runs.trained_run import open_generative as open_generative
from sde_jax.runs.trained_run import open_run as open_run
from sde_jax.runs.trained_run import open_run_of as open_run_of
from sde_jax.runs.training import train_experiment as train_experiment
