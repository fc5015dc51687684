"""``python -m experiments sample RUN``."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.command_line.output import checked_output
from experiments.command_line.parsing import UsageError, parse
from experiments.generation import generate
from experiments.runs import TrainedRun, open_run
from experiments.samplers import TITLES, SamplerName, SamplerSettings
from sde_jax import figures
from sde_jax.arrays import Array
from sde_jax.sampling import Samples
from sde_jax.training.devices import data_mesh

FRAMES = 40
SHOWN_TIMES = np.linspace(1, 0, 10) ** 2
"""About these: most happens near the data."""
SHOWN_TRAJECTORIES = 6
SHOWN = 256


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draws samples from a trained run, into an .npz file and a .png picture beside it."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run directory."""
    sampler: SamplerName | None = None
    """em: Euler-Maruyama; reverse-diffusion, ancestral: these predictors; pc: reverse diffusion
    with a Langevin corrector; ode: adaptive probability flow. By default the experiment's."""
    steps: int | None = None
    """Steps of the grid; all samplers but ode. By default the experiment's."""
    snr: float | None = None
    """Signal-to-noise ratio of the Langevin corrector; pc only. By default the experiment's."""
    tolerance: float | None = None
    """Relative and absolute tolerance; ode only. By default the experiment's."""
    count: int = 64
    """Samples to draw."""
    batch_size: int = 256
    """Samples drawn at once; a sample does not depend on it."""
    seed: int = 0
    """Sample j is a function of the seed and j."""
    trajectory: bool = False
    """Draw a picture of how samples come about, too."""
    out: Path | None = None
    """The .npz file, which must not exist; by default a name in RUN/samples that says how the
    samples were drawn."""

    def __post_init__(self) -> None:
        for field in ("count", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"`{field}` must be at least 1: got {getattr(self, field)}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"`seed` must lie between 0 and 2^32 - 1: got {self.seed}.")

    def settings(self, default: SamplerSettings) -> SamplerSettings:
        """The experiment's settings with what was asked for.

        Raises:
          UsageError: if an option was given that the sampler does not have.
        """
        chosen = self.sampler or default.sampler
        options = {"steps": self.steps, "snr": self.snr, "tolerance": self.tolerance}
        given: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        known = {"ode": {"tolerance"}, "pc": {"steps", "snr"}}.get(chosen, {"steps"})
        for name in set(given) - known:
            raise UsageError(f"--{name} does not apply to --sampler {chosen}.")
        return dataclasses.replace(default, sampler=chosen, **given)


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(Sample, args, "sample")
    checked_output(options.out, ".npz")
    return execute(open_run(options.run, data_mesh()), options)


def execute(run: TrainedRun, options: Sample) -> dict[str, Any]:
    """Draws and writes what ``options`` ask for."""
    settings = options.settings(run.experiment.sampling)
    out = checked_output(options.out, ".npz") or default_path(run, settings, options)
    started = time.perf_counter()
    samples = generate(
        settings.build(frames=FRAMES if options.trajectory else 0),
        run.score,
        run.experiment.sde,
        run.source.shape,
        key=jax.random.key(options.seed),
        count=options.count,
        batch_size=options.batch_size,
        mesh=data_mesh(),
    )
    seconds = time.perf_counter() - started
    pictures = write(run, settings, samples, out)
    return {
        "count": options.count,
        "nfe": float(samples.nfe.mean()),
        "seconds": round(seconds, 2),
        "out": str(out),
        "pictures": [str(path) for path in pictures],
        "sampler": settings.sampler,
        "step": run.step,
        "failed": np.flatnonzero(~samples.converged).tolist(),
    }


def write(run: TrainedRun, settings: SamplerSettings, samples: Samples, out: Path) -> list[Path]:
    """Writes the samples and their pictures, whose paths it returns."""
    out.parent.mkdir(parents=True, exist_ok=True)
    data = np.asarray(run.source.scaling.to_unit(samples.x), np.float32)
    temporary = out.with_suffix(".npz.tmp")
    with temporary.open("wb") as file:
        np.savez(file, samples=data)
    temporary.replace(out)
    pictures = [out.with_suffix(".png")]
    if data.ndim == 2:
        figures.point_frames({TITLES[settings.sampler]: [(0.0, data)]}, pictures[0])
    else:
        figures.image_grid(data[:SHOWN], pictures[0])
    if samples.trajectory is not None and samples.trajectory_times is not None:
        pictures.append(out.with_name(f"{out.stem}_trajectory.png"))
        times, states = samples.trajectory_times[0], samples.trajectory.swapaxes(0, 1)
        shown = jnp.abs(times - SHOWN_TIMES[:, None]).argmin(axis=1)
        draw_trajectory(run, settings, times[shown], states[shown], pictures[1])
    return pictures


def draw_trajectory(
    run: TrainedRun, settings: SamplerSettings, times: Array, states: Array, path: Path
) -> None:
    """Draws states, by time, each divided by the deviation that unit data have there."""
    sde = run.experiment.sde
    if states.ndim == 3:
        frames = list(zip(times.tolist(), states, strict=True))
        figures.point_frames({TITLES[settings.sampler]: frames}, path)
        return
    size = jnp.hypot(sde.alpha(times), sde.sigma(times)).reshape(-1, 1, 1, 1, 1)
    images = 0.5 + 0.5 * states[:, :SHOWN_TRAJECTORIES] / size
    images = images.at[-1].set(run.source.scaling.to_unit(states[-1, :SHOWN_TRAJECTORIES]))
    figures.trajectory(list(np.asarray(images)), times.tolist(), path)


def default_path(run: TrainedRun, settings: SamplerSettings, options: Sample) -> Path:
    """A name that tells all that the samples depend on, so that only equal ones are replaced."""
    how = {
        "ode": f"tolerance{settings.tolerance:g}",
        "pc": f"steps{settings.steps}-snr{settings.snr:g}",
    }.get(settings.sampler, f"steps{settings.steps}")
    name = f"{settings.sampler}-{how}-at{run.step}-seed{options.seed}-count{options.count}.npz"
    return run.directory.path / "samples" / name
