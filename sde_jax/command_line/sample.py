"""``sde-jax sample RUN``."""

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax import figures
from sde_jax.arguments import UsageError
from sde_jax.array_figures import draw_picture
from sde_jax.arrays import Array
from sde_jax.atomic import whole_file
from sde_jax.command_line.opening import open_first
from sde_jax.command_line.options.sample import Sample, parsed
from sde_jax.command_line.output import output_file, writable
from sde_jax.data import ImageScaling
from sde_jax.recipes.sampler_settings import SAMPLERS, SamplerSettings
from sde_jax.runs.conditions import digest, given, read_condition
from sde_jax.runs.generation import draw_all, is_valid
from sde_jax.runs.levels import from_levels
from sde_jax.runs.shards import draw_shards
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.sampling import Samples
from sde_jax.training.processes import is_first, raise_on_all

SAMPLES, PICTURE, TRAJECTORY = ".npz", ".png", "_trajectory.png"
PICTURES = "samples.png"
"""The picture in a folder of samples."""
FRAMES = 40
SHOWN_TIMES = np.linspace(1, 0, 10) ** 2
"""Times that a trajectory shows, denser near the data, where most happens."""
SHOWN_TRAJECTORIES = 6
SHOWN = 256


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_first(args)
    return execute(run, parsed(args, run.directory.path, run.experiment))


def execute(run: GenerativeRun, options: Sample) -> dict[str, Any]:
    """Draws and writes the samples."""
    rows = read_condition(run, options.condition)
    run = given(run, rows, count=options.count, of="samples", weight=options.weight)
    settings = run.resolved(options.settings)
    options = dataclasses.replace(options, settings=settings)
    if options.trajectory and run.experiment.process is None:
        raise UsageError(f"--trajectory does not apply to a {run.experiment.kind}.")
    images = isinstance(run.layout.scaling, ImageScaling)
    if options.trajectory and not images and run.layout.shape != (2,):
        raise UsageError("--trajectory draws images and points in the plane.")
    started = time.perf_counter()
    if options.out is not None and options.out.suffix != SAMPLES:
        drawn = in_shards(run, options, options.out)
    else:
        drawn = in_file(run, options)
    return {
        "count": options.count,
        "nfe": drawn.nfe,
        "seconds": round(time.perf_counter() - started, 2),
        "out": str(drawn.out),
        "pictures": [str(path) for path in drawn.pictures],
        "sampler": settings and settings.sampler,
        "step": run.step,
        "failed": drawn.failed,
    }


class Written(NamedTuple):
    """Samples that were written."""

    out: Path
    pictures: list[Path]
    nfe: float
    failed: list[int]


def in_file(run: GenerativeRun, options: Sample) -> Written:
    """Draws all samples, and writes them into one file."""
    settings = options.settings
    draw = run.sample_fn(settings, frames=FRAMES if options.trajectory else 0)
    usual, beside = usual_path(run, settings, options), (PICTURE, TRAJECTORY)
    out = raise_on_all(lambda: output_file(options.out, usual, beside=beside))
    samples = draw_all(
        draw,
        run.inputs,
        count=options.count,
        batch_size=options.batch_size,
        key=jax.random.key(options.seed),
    )
    pictures = write(run, settings, samples, out) if is_first() else []
    failed = np.flatnonzero(~is_valid(samples)).tolist()
    return Written(out, pictures, float(samples.nfe.mean()), failed)


def in_shards(run: GenerativeRun, options: Sample, out: Path) -> Written:
    """Draws samples batch by batch, and writes them into a folder.

    Raises:
      UsageError: if trajectories are asked for.
    """
    if options.trajectory:
        raise UsageError("--trajectory is for an .npz file: --out names a folder.")
    raise_on_all(lambda: writable(out / PICTURES))
    shards = draw_shards(
        run,
        options.settings,
        out,
        count=options.count,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    if is_first():
        first = from_levels(shards[0].read(out)[:SHOWN], run.layout.scaling)
        draw_picture(first, title_of(run, options.settings), out / PICTURES)
    failed = [number for shard in shards for number in shard.failed]
    nfe = sum(shard.nfe * shard.length for shard in shards) / options.count
    return Written(out, [out / PICTURES], nfe, failed)


def write(
    run: GenerativeRun, settings: SamplerSettings | None, samples: Samples, out: Path
) -> list[Path]:
    """Writes the samples and their pictures, and returns the paths of the pictures."""
    data = np.asarray(run.layout.scaling.to_unit(samples.x))
    with whole_file(out) as file:
        np.savez(file, samples=data)
    pictures = [out.with_suffix(PICTURE)]
    title = title_of(run, settings)
    draw_picture(data if data.ndim == 2 else data[:SHOWN], title, pictures[0])
    if samples.trajectory is not None and samples.trajectory_times is not None:
        pictures.append(out.with_name(out.stem + TRAJECTORY))
        times, states = samples.trajectory_times[0], samples.trajectory.swapaxes(0, 1)
        shown = jnp.abs(times - SHOWN_TIMES[:, None]).argmin(axis=1)
        draw_trajectory(run, title, times[shown], states[shown], pictures[1])
    return pictures


def title_of(run: GenerativeRun, settings: SamplerSettings | None) -> str:
    """Returns the title of a picture of samples."""
    return run.experiment.kind if settings is None else SAMPLERS[settings.sampler].title


def draw_trajectory(
    run: GenerativeRun, title: str, times: Array, states: Array, path: Path
) -> None:
    """Draws states by time, each divided by the deviation that unit data have there."""
    sde = run.experiment.process
    assert sde is not None
    if states.shape[2:] == (2,):
        frames = list(zip(times.tolist(), states, strict=True))
        figures.point_frames({title: frames}, path)
        return
    size = jnp.hypot(sde.alpha(times), sde.sigma(times)).reshape(-1, 1, 1, 1, 1)
    images = 0.5 + 0.5 * states[:, :SHOWN_TRAJECTORIES] / size
    images = images.at[-1].set(run.layout.scaling.to_unit(states[-1, :SHOWN_TRAJECTORIES]))
    figures.trajectory(list(np.asarray(images)), times.tolist(), path)


def usual_path(run: GenerativeRun, settings: SamplerSettings | None, options: Sample) -> Path:
    """Returns the file in RUN/samples whose name identifies the samples."""
    drawn = f"at{run.step}-seed{options.seed}-count{options.count}"
    if settings is not None:
        drawn = f"{settings.described()}-{drawn}"
    if run.condition is not None:
        drawn = f"{drawn}-condition{digest(run.condition, run.weight)}"
    return run.directory.path / "samples" / f"{drawn}.npz"
