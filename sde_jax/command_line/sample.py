"""``sde-jax sample RUN``."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from sde_jax import figures
from sde_jax.arguments import Switch, UsageError, check_counts, check_seed, option
from sde_jax.arrays import Array
from sde_jax.atomic import whole_file
from sde_jax.command_line.output import checked_output, writable
from sde_jax.command_line.parsing import parse
from sde_jax.evaluation.features import FeatureNetwork, classifier, extractor
from sde_jax.evaluation.labelled_folder import check_folder, write_labelled
from sde_jax.evaluation.networks import classifier_run
from sde_jax.figures import draw_picture
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.sampler_settings import (
    DEFAULTS,
    OPTIONS,
    TITLES,
    GridName,
    SamplerName,
    SamplerSettings,
)
from sde_jax.runs.generation import generate, together, usable
from sde_jax.runs.trained_run import GenerativeRun, open_generative
from sde_jax.sampling import Samples
from sde_jax.training.devices import data_mesh
from sde_jax.training.processes import is_first, join_processes, raise_on_all

PICTURE, TRAJECTORY = ".png", "_trajectory.png"
FRAMES = 40
SHOWN_TIMES = np.linspace(1, 0, 10) ** 2
"""About these: most happens near the data."""
SHOWN_TRAJECTORIES = 6
SHOWN = 256


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draws samples from a trained run, into an .npz file and a .png picture beside it."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    sampler: Annotated[SamplerName | None, option("NAME", "the experiment's")] = None
    """em: Euler-Maruyama; reverse-diffusion, ancestral: these predictors; pc: reverse diffusion
    with a Langevin corrector; ode: adaptive probability flow; published: of a published model,
    predictor, corrector and steps by the published rules; ddim, heun, dpm++2m, dpm++3m, unipc,
    sde-dpm++2m: in few evaluations; shark, sra1, gotta-go-fast: the reversed SDE, adaptively."""
    steps: Annotated[int | None, option("INT", "the experiment's, or the sampler's own")] = None
    """Steps of the grid; all samplers but the adaptive ones. In few evaluations: ddim and
    sde-dpm++2m 50, heun 17 of two evaluations, the others 20."""
    snr: Annotated[float | None, option("FLOAT", "the experiment's")] = None
    """Signal-to-noise ratio of the Langevin corrector; pc only."""
    tolerance: Annotated[float | None, option("FLOAT", "the experiment's, or 0.05")] = None
    """Relative and absolute tolerance of a solver step; ode, and 0.05 with shark, sra1 and
    gotta-go-fast."""
    grid: Annotated[GridName | None, option("NAME", "log-snr; heun: karras")] = None
    """Where steps lie: uniform in time, in log signal-to-noise ratio (log-snr), or as Karras et al.
    2022 have them; samplers in few evaluations only."""
    eta: Annotated[float | None, option("FLOAT", "the experiment's")] = None
    """Noise, from 0 to 1, that of ancestral sampling; ddim only."""
    churn: Annotated[float | None, option("FLOAT", "the experiment's")] = None
    """Noise to add and take out, S_churn of Karras et al. 2022; heun only."""
    count: int = 64
    """Samples to draw."""
    batch_size: int = 256
    """Samples drawn at once; a sample does not depend on it."""
    seed: int = 0
    """Sample j is a function of the seed and j."""
    trajectory: Switch = False
    """Draw a picture of how samples come about, too."""
    labelled_folder: Annotated[Path | None, option("DIR", "none is written")] = None
    """Write the samples as PNG files, too, in a folder for each label that a classifier predicts:
    DIR/3/000017.png. DIR must not exist, or be empty."""
    classifier: Annotated[str | None, option("RUN", "the experiment's, beside RUN")] = None
    """The classifier's run, for the labels."""
    out: Annotated[Path | None, option("FILE", "a name in RUN/samples that says how")] = None
    """The .npz file, which must not exist; its pictures go beside it."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)

    def settings(self, experiment: Generative) -> SamplerSettings | None:
        """The experiment's settings with what was asked for.

        Raises:
          UsageError: if an option was given that the sampler or the model does not have.
        """
        default = experiment.sampling
        names = dict.fromkeys(name for options in OPTIONS.values() for name in options)
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.trajectory and experiment.process is None:
            raise UsageError(f"--trajectory does not apply to a {experiment.kind}.")
        if default is None:
            for name in ("sampler", *given):
                if getattr(self, name) is not None:
                    raise UsageError(f"--{name} does not apply to a {experiment.kind}.")
            return None
        chosen = self.sampler or default.sampler
        for name in given:
            if name not in OPTIONS[chosen]:
                raise UsageError(f"--{name} does not apply to --sampler {chosen}.")
        if chosen != default.sampler:
            given = {**DEFAULTS.get(chosen, {}), **given}
        return dataclasses.replace(default, sampler=chosen, **given)


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(Sample, args, "sde-jax sample")
    join_processes()
    return execute(open_generative(options.run, data_mesh()), options)


def execute(run: GenerativeRun, options: Sample) -> dict[str, Any]:
    """Draws and writes what ``options`` ask for."""
    settings = options.settings(run.experiment)
    draw = run.draws(settings, frames=FRAMES if options.trajectory else 0)
    out = raise_on_all(lambda: output_path(run, settings, options))
    network = raise_on_all(lambda: label_network(run, options))
    started = time.perf_counter()
    samples = together(
        generate(
            draw,
            run.params,
            key=jax.random.key(options.seed),
            count=options.count,
            batch_size=options.batch_size,
            mesh=data_mesh(),
        )
    )
    seconds = time.perf_counter() - started
    pictures = write(run, settings, samples, out) if is_first() else []
    labelled = {} if network is None else write_labels(run, samples, network, options)
    return {
        "count": options.count,
        "nfe": float(samples.nfe.mean()),
        "seconds": round(seconds, 2),
        "out": str(out),
        "pictures": [str(path) for path in pictures],
        "sampler": settings and settings.sampler,
        "step": run.step,
        "failed": np.flatnonzero(~usable(samples)).tolist(),
        **labelled,
    }


def label_network(run: GenerativeRun, options: Sample) -> FeatureNetwork | None:
    """The classifier, if labels are asked for.

    Raises:
      UsageError, ValueError: if there is none, or the folder cannot be written.
    """
    folder = options.labelled_folder
    if folder is None:
        if options.classifier is not None:
            raise UsageError("--classifier is for --labelled-folder.")
        return None
    check_folder(folder, run.layout.shape)
    writable(folder / "dataset.json")
    named = options.classifier or run.experiment.evaluation.classifier
    return classifier(classifier_run(named, run.directory.path))


def write_labels(
    run: GenerativeRun, samples: Samples, network: FeatureNetwork, options: Sample
) -> dict[str, Any]:
    """Writes the labelled folder; how many images there are of each label."""
    numbers = np.flatnonzero(usable(samples))
    data = np.asarray(run.layout.scaling.to_unit(samples.x[numbers]), np.float32)
    extract = extractor(network, data_mesh(), options.batch_size)
    starts = range(0, len(data), options.batch_size)
    logits: list[Any] = [extract(data[first : first + options.batch_size])[1] for first in starts]
    folder = options.labelled_folder
    if folder is None or not is_first():
        return {}
    labels = np.concatenate(logits)
    images = zip(numbers.tolist(), data, strict=True)
    counts = write_labelled(folder, images, labels.argmax(axis=1), labels.shape[1])
    return {"labelled_folder": str(folder), "labels": counts}


def write(
    run: GenerativeRun, settings: SamplerSettings | None, samples: Samples, out: Path
) -> list[Path]:
    """Writes the samples and their pictures, whose paths it returns."""
    data = np.asarray(run.layout.scaling.to_unit(samples.x), np.float32)
    with whole_file(out) as file:
        np.savez(file, samples=data)
    pictures = [out.with_suffix(PICTURE)]
    title = run.experiment.kind if settings is None else TITLES[settings.sampler]
    draw_picture(data if data.ndim == 2 else data[:SHOWN], title, pictures[0])
    if samples.trajectory is not None and samples.trajectory_times is not None:
        pictures.append(out.with_name(out.stem + TRAJECTORY))
        times, states = samples.trajectory_times[0], samples.trajectory.swapaxes(0, 1)
        shown = jnp.abs(times - SHOWN_TIMES[:, None]).argmin(axis=1)
        draw_trajectory(run, title, times[shown], states[shown], pictures[1])
    return pictures


def draw_trajectory(
    run: GenerativeRun, title: str, times: Array, states: Array, path: Path
) -> None:
    """Draws states, by time, each divided by the deviation that unit data have there."""
    sde = run.experiment.process
    assert sde is not None
    if states.ndim == 3:
        frames = list(zip(times.tolist(), states, strict=True))
        figures.point_frames({title: frames}, path)
        return
    size = jnp.hypot(sde.alpha(times), sde.sigma(times)).reshape(-1, 1, 1, 1, 1)
    images = 0.5 + 0.5 * states[:, :SHOWN_TRAJECTORIES] / size
    images = images.at[-1].set(run.layout.scaling.to_unit(states[-1, :SHOWN_TRAJECTORIES]))
    figures.trajectory(list(np.asarray(images)), times.tolist(), path)


def output_path(run: GenerativeRun, settings: SamplerSettings | None, options: Sample) -> Path:
    """The file asked for, or one in RUN/samples that only equal samples are replaced in.

    Raises:
      UsageError: if it cannot be written, or is there already and was asked for.
    """
    if options.out is not None:
        return checked_output(options.out, ".npz", beside=[PICTURE, TRAJECTORY])
    drawn = f"at{run.step}-seed{options.seed}-count{options.count}"
    if settings is not None:
        how = "-".join(
            f"{name}{value:g}" if isinstance(value, float) else f"{name}{value}"
            for name, value in settings.options().items()
        )
        drawn = f"{settings.sampler}-{how or 'rules'}-{drawn}"
    return writable(run.directory.path / "samples" / f"{drawn}.npz")
