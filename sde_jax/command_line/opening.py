"""Opens the run of a command whose options depend on it."""

import argparse
import contextlib
import dataclasses
from pathlib import Path

from sde_jax.recipes.generative import Generative
from sde_jax.runs.data_place import DataPlace
from sde_jax.runs.trained_run import GenerativeRun, open_run_of
from sde_jax.training.processes import join_processes


def open_first(args: list[str]) -> GenerativeRun:
    """Opens the RUN that the arguments begin with."""
    join_processes()
    return open_run_of(Generative, Path(args[0]), place_in(args))


def place_in(args: list[str]) -> DataPlace:
    """Returns the place of the run's data that arguments name, before they are parsed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for field in dataclasses.fields(DataPlace):
        name = f"--data.{field.name}"
        parser.add_argument(name, name.replace("_", "-"), dest=field.name)
    with contextlib.suppress(argparse.ArgumentError):
        return DataPlace(**vars(parser.parse_known_args(args)[0]))
    return DataPlace()
