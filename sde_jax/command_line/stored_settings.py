"""The settings that a run stores, read without its experiment."""

from pathlib import Path
from typing import NamedTuple

from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.likelihood_settings import FlowSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.serialization import ConfigurationError, check_type, from_config, hints_of
from sde_jax.training.run_config import read_config


class StoredSettings(NamedTuple):
    """Defaults of the commands that sample and measure a run."""

    sampling: SamplerSettings | None
    likelihood: FlowSettings | None
    evaluation: EvaluationSettings


def stored_settings(run: Path) -> StoredSettings | None:
    """Returns the settings in the configuration of a run, without an import that computes.

    They are the defaults of its options, so that wrong ones are refused at once. Returns None where
    only the experiment can tell them: a class of the user's, a field that was not stored yet, or
    one that cannot be used.

    Raises:
      NotARunError: if there is no run, or its configuration cannot be read.
    """
    config, found = read_config(run), {}
    try:
        for name, hint in hints_of(StoredSettings).items():
            stored = config["experiment"][name]
            found[name] = from_config(stored, name, version=config["format"])
            check_type(found[name], hint, name)
    except (ConfigurationError, KeyError, TypeError):
        return None
    return StoredSettings(**found)
