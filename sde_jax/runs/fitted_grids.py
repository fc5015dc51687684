"""Times fitted to the network of a run, kept in its directory."""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import jax

from sde_jax.atomic import write_json
from sde_jax.json_files import DamagedFileError, read_json
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.reporting import report
from sde_jax.sampling import FittedGrid, fit_grid
from sde_jax.training import RunDirectory, checksum
from sde_jax.training.learner import TrainState
from sde_jax.training.processes import of_first

FOLDER = "grids"
VERSION = 1
"""Version of the fit; grids of another one are fitted again."""
MOST_PILOTS, LEAST_PILOTS = 32, 4
MOST_VALUES = 2**17
"""Numbers in a state of all pilots, unless they are the fewest."""


def fitted_grid(
    directory: RunDirectory,
    experiment: ScoreExperiment,
    state: TrainState,
    settings: SamplerSettings,
    shape: tuple[int, ...],
) -> FittedGrid:
    """Returns the times of a sampler that are fitted to the averaged parameters of a run.

    They are read from ``grids`` in the run directory if they were fitted to the same parameters by
    the same version. Otherwise they are fitted and written there, or only announced where the
    directory cannot be written. The first process fits, on one device. The network computes in
    float32: its rounding in another type is no reason for other times.
    """
    settings = dataclasses.replace(settings, compute_dtype="float32")

    def levels() -> list[float]:
        path = directory.path / FOLDER / f"{settings.described()}.json"
        identity = {
            "version": VERSION,
            "weights": f"{checksum(state.ema_params):08x}",
            "step": int(state.step),
        }
        stored = _stored(path)
        if stored is not None and {**stored, **identity} == stored:
            return list(FittedGrid(levels=tuple(stored["levels"])).levels)
        if stored is not None:
            report(f"{path} was fitted to other weights or by another version: fitting again.")
        started = time.perf_counter()
        grid = _fit(experiment, jax.device_get(state.ema_params), settings, shape)
        seconds = round(time.perf_counter() - started, 1)
        report(f"Fitted the times of {settings.steps} steps to the network in {seconds} s.")
        _keep(path, {**identity, "seconds": seconds, "levels": list(grid.levels)})
        return list(grid.levels)

    return FittedGrid(levels=tuple(of_first(levels)))


def _fit(
    experiment: ScoreExperiment, params: Any, settings: SamplerSettings, shape: tuple[int, ...]
) -> FittedGrid:
    count = min(MOST_PILOTS, max(LEAST_PILOTS, MOST_VALUES // math.prod(shape)))
    keys, sampler = jax.random.split(jax.random.key(0), count), settings.solver()
    return fit_grid(keys, experiment.score(params), experiment.sde, shape, sampler)


def _stored(path: Path) -> dict[str, Any] | None:
    """Returns the content of a file; None, with a line, if it is damaged."""
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
        FittedGrid(levels=tuple(map(float, stored["levels"])))
    except (DamagedFileError, KeyError, TypeError, ValueError):
        report(f"{path} is damaged: fitting again.")
        return None
    return dict(stored)


def _keep(path: Path, content: dict[str, Any]) -> None:
    try:
        write_json(path, content)
    except OSError as error:
        report(f"{path} cannot be written ({error.strerror}): the next call fits again.")
